import type { z } from 'zod'
import { HoldfastError } from '../core/errors.ts'
import { NamePage, type FeedPlace } from '../core/name-feed.ts'
import { Challenge, Registered, SyncResponse, type Registration, type SyncRequest } from '../core/sync.ts'
import { SECOND_MS } from '../core/units.ts'

/** The calls of core/sync.ts to the control plane. */
export interface ControlClient {
  /** What the next registration has to sign. */
  challenge(signal: AbortSignal): Promise<string>
  /** @throws UNAVAILABLE; FORBIDDEN when the join token or proof is refused */
  register(registration: Registration, signal: AbortSignal): Promise<Registered>
  /** @throws UNAVAILABLE; STALE_SESSION when the node has to register again */
  sync(session: string, request: SyncRequest, signal: AbortSignal): Promise<SyncResponse>
  /** A part of a document of the gateway's rules. @throws UNAVAILABLE, also when the rules have changed; STALE_SESSION */
  rules(session: string, hash: string, part: number, signal: AbortSignal): Promise<string>
  /** Names that came after a place in their feed. @throws UNAVAILABLE; STALE_SESSION */
  names(session: string, places: { after: FeedPlace; kept: FeedPlace }, signal: AbortSignal): Promise<NamePage>
}

interface Call {
  body?: unknown
  session?: string
  waitMs?: number
  signal: AbortSignal
}

/** An answer that is later than this, beyond the time it may be held back, comes no more. */
const ANSWER_MS = 15 * SECOND_MS

/** @param url of the control plane, without a path */
export function connectControl(url: string): ControlClient {
  async function call<T>(path: string, answer: z.ZodType<T>, options: Call): Promise<T> {
    const headers = { 'content-type': 'application/json' }
    const text = await exchange(path, { method: 'POST', headers, body: JSON.stringify(options.body) }, options)
    return read(text, answer)
  }

  async function exchange(path: string, init: RequestInit, options: Call): Promise<string> {
    const headers = new Headers(init.headers)
    if (options.session !== undefined) headers.set('authorization', `Bearer ${options.session}`)
    const timeout = AbortSignal.timeout((options.waitMs ?? 0) + ANSWER_MS)
    const signal = AbortSignal.any([options.signal, timeout])
    try {
      const response = await fetch(new URL(path, url), { ...init, headers, signal })
      const text = await response.text()
      if (!response.ok) throw refusal(response.status, text)
      return text
    } catch (cause) {
      options.signal.throwIfAborted()
      if (cause instanceof HoldfastError) throw cause
      throw new HoldfastError('UNAVAILABLE', 'The control plane cannot be reached.', { cause })
    }
  }

  return {
    challenge: async (signal) => (await call('/cluster/challenge', Challenge, { body: {}, signal })).challenge,
    register: (registration, signal) => call('/cluster/register', Registered, { body: registration, signal }),
    sync: (session, request, signal) =>
      call('/cluster/sync', SyncResponse, { body: request, session, waitMs: request.waitMs, signal }),
    rules: (session, hash, part, signal) => exchange(`/cluster/rules/${hash}?part=${part}`, {}, { session, signal }),
    names: async (session, { after, kept }, signal) => {
      const query = `feed=${after.feed}&after=${after.version}&keptFeed=${kept.feed}&kept=${kept.version}`
      return read(await exchange(`/cluster/names?${query}`, {}, { session, signal }), NamePage)
    },
  }
}

function read<T>(text: string, answer: z.ZodType<T>): T {
  try {
    return answer.parse(JSON.parse(text))
  } catch (cause) {
    throw new HoldfastError('UNAVAILABLE', 'The control plane answered what this node does not understand.', { cause })
  }
}

function refusal(status: number, text: string): HoldfastError {
  const shown = text.slice(0, 300)
  if (status === 401 || text.includes('"STALE_SESSION"')) {
    return new HoldfastError('STALE_SESSION', `The control plane does not know this session: ${shown}`)
  }
  if (status === 403) return new HoldfastError('FORBIDDEN', `The control plane refuses this node: ${shown}`)
  return new HoldfastError('UNAVAILABLE', `The control plane answered ${status}: ${shown}`)
}
