import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Peer } from './peer.ts'

/** Peers whose values are enough to know the newest: of the twenty that store a record these must agree or differ. */
const QUORUM = 16
/** A walk of the public DHT takes seconds; one that has taken longer will not come to an end. */
const WALK_MS = 60 * SECOND_MS

/**
 * The values that peers of the DHT have under a key, each different one once, as they come in. Ends after those of
 * sixteen peers, or when there is nobody left to ask.
 */
export async function* findValues(peer: Peer, key: Uint8Array, { signal }: Asking): AsyncGenerator<Uint8Array, void> {
  const seen = new Set<string>()
  const isNews = (value: Uint8Array): boolean => seen.size < seen.add(Buffer.from(value).toString('latin1')).size
  let answers = 0
  try {
    for await (const event of peer.libp2p.services.dht.get(key, { signal: within(peer, signal) })) {
      const value =
        event.name === 'VALUE' ? event.value : event.name === 'PEER_RESPONSE' ? event.record?.value : undefined
      if (value === undefined) continue
      if (isNews(value)) yield value
      if (++answers >= QUORUM) return
    }
  } catch (error) {
    signal.throwIfAborted()
    // Among the reasons: a peer that could not be told of the newer value in the end.
    if (seen.size === 0) throw asFailure('asked', error)
  }
}

/**
 * Stores a value with the peers nearest to its key, and with this one.
 * @returns with how many others
 * @throws UNAVAILABLE when nobody took it; CONFLICT when this peer knows a newer value; what the rules of its namespace
 *   say of it, BAD_REQUEST when there are none
 */
export async function putValue(peer: Peer, key: Uint8Array, value: Uint8Array, { signal }: Asking): Promise<number> {
  await check(peer, key, value)
  const took = new Set<string>()
  let failure: unknown
  try {
    for await (const event of peer.libp2p.services.dht.put(key, value, { signal: within(peer, signal) })) {
      if (event.name !== 'PEER_RESPONSE' || event.messageName !== 'PUT_VALUE') continue
      took.add(event.from.toString())
    }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof HoldfastError) throw error
    failure = error
  }
  if (took.size === 0) throw asFailure('told', failure)
  return took.size
}

/** The DHT checks what others send, and stores here whatever it is told itself. */
async function check(peer: Peer, key: Uint8Array, value: Uint8Array): Promise<void> {
  const [, namespace = ''] = Buffer.from(key).toString('latin1').split('/', 2)
  const { validators } = peer.libp2p.services.dht
  if (!Object.hasOwn(validators, namespace)) throw new HoldfastError('BAD_REQUEST', 'There are no values of this kind.')
  await validators[namespace]?.(key, value)
}

interface Asking {
  signal: AbortSignal
}

function within(peer: Peer, signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, peer.signal, AbortSignal.timeout(WALK_MS)])
}

function asFailure(what: 'asked' | 'told', cause: unknown): HoldfastError {
  return new HoldfastError('UNAVAILABLE', `No peer of the DHT could be ${what}.`, { cause, retryAfterSeconds: 60 })
}
