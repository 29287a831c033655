import type { IncomingMessage } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { formatSize, MINUTE_MS } from '../core/units.ts'

/** A sender that is silent for this long has gone, whatever its connection says. */
const SILENCE_MS = MINUTE_MS

/**
 * The body of an upload, counted. The socket is read only as fast as the chunks are taken.
 * @throws PAYLOAD_TOO_LARGE beyond `maxBytes`, before anything is read when the length is announced; LENGTH_MISMATCH
 *   when the sender stops before the end; the signal's reason
 */
export async function* uploadBytes(
  request: IncomingMessage,
  { maxBytes, signal }: { maxBytes: number; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const tooLarge = new HoldfastError('PAYLOAD_TOO_LARGE', `The upload may have at most ${formatSize(maxBytes)}.`)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge
  request.setTimeout(SILENCE_MS, () => request.destroy())
  let received = 0
  try {
    // What was not read stays in the socket, so that the failure can still be answered.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      received += chunk.length
      if (received > maxBytes) throw tooLarge
      yield chunk
    }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof HoldfastError) throw error
    throw cutOff(error)
  } finally {
    request.setTimeout(0)
  }
  if (!request.complete) throw cutOff()
}

function cutOff(cause?: unknown): HoldfastError {
  return new HoldfastError('LENGTH_MISMATCH', 'The upload ended before its end.', { cause })
}
