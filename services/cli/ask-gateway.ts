import { HoldfastError } from '../core/errors.ts'
import { MINUTE_MS } from '../core/units.ts'
import { plain } from './terminal-text.ts'

/** A gateway may have to look for content in the network; one that is silent for longer has hung. */
const SILENCE_MS = MINUTE_MS
/** A failure's body is read for its sentence only. */
const MAX_SENTENCE = 500

/**
 * Asks a gateway for a representation. The time limit ends with the answer's headers.
 * @throws NOT_FOUND; UPSTREAM_FAILED for what else it answers, and when it cannot be reached
 */
export async function askGateway(url: string, accept: string, signal: AbortSignal): Promise<Response> {
  const { origin } = new URL(url)
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(), SILENCE_MS)
  try {
    const response = await fetch(url, { headers: { accept }, signal: AbortSignal.any([signal, silence.signal]) })
    if (response.ok) return response
    const isMissing = response.status === 404 || response.status === 410
    const sentence = sentenceOf(await response.text()) ?? `The gateway ${origin} answered ${response.status}.`
    throw new HoldfastError(isMissing ? 'NOT_FOUND' : 'UPSTREAM_FAILED', sentence)
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof HoldfastError) throw cause
    throw new HoldfastError('UPSTREAM_FAILED', `The gateway ${origin} cannot be reached.`, { cause })
  } finally {
    clearTimeout(timer)
  }
}

function sentenceOf(text: string): string | undefined {
  try {
    const { details } = (JSON.parse(text) as { error: { details?: string } }).error
    return details === undefined ? undefined : plain(details.slice(0, MAX_SENTENCE))
  } catch {
    return undefined
  }
}
