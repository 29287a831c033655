import type { Fetch } from '@libp2p/fetch'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { RecentMap } from '../core/recent-map.ts'
import { MINUTE_MS } from '../core/units.ts'

/** Who is in a topic has a connection with us: an answer takes a round trip or two. */
const FETCH_MS = 2_500
/** Peers that are asked at once for what they have. */
const MAX_LANES = 16
/** Keys that one peer can have waiting with us. */
const MAX_WAITING = 512
/** Failures in a row after which a peer is asked for nothing of what waits. */
const MAX_FAILURES = 3
/** A peer that joins one topic over and over is asked once in this time. */
const AGAIN_AFTER_MS = MINUTE_MS
const REMEMBERED = 16_384

export interface TopicFetchesOptions {
  libp2p: Pick<Libp2p, 'getConnections'>
  fetch: Fetch
  /** Takes what a peer has; nothing of it is checked. */
  onValue: (key: Uint8Array, value: Uint8Array) => Promise<unknown>
  signal: AbortSignal
}

interface Lane {
  peer: PeerId
  waiting: Map<string, Uint8Array>
  isRunning: boolean
}

/** Asks peers that join a topic for what they have (`/libp2p/fetch/0.0.1`): each for one key at a time, a few peers at once. */
export class TopicFetches {
  readonly #options: TopicFetchesOptions
  readonly #lanes = new Map<string, Lane>()
  readonly #askedAt = new RecentMap<string, number>(REMEMBERED)
  #running = 0

  constructor(options: TopicFetchesOptions) {
    this.#options = options
  }

  /** Asks soon. What comes of it is told to `onValue`. */
  askSoon(peer: PeerId, key: Uint8Array): void {
    const name = peer.toString()
    const text = Buffer.from(key).toString('base64url')
    const now = performance.now()
    if (now - (this.#askedAt.get(`${name} ${text}`) ?? Number.NEGATIVE_INFINITY) < AGAIN_AFTER_MS) return
    const lane: Lane = this.#lanes.get(name) ?? { peer, waiting: new Map(), isRunning: false }
    if (lane.waiting.size >= MAX_WAITING) return
    this.#askedAt.set(`${name} ${text}`, now)
    lane.waiting.set(text, key)
    this.#lanes.set(name, lane)
    this.#startNext()
  }

  /** What the peer has under the key now; undefined when it has nothing, does not say, or is not connected. */
  async ask(peer: PeerId, key: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return await this.#fetch(peer, key, AbortSignal.any([signal, this.#options.signal])).catch(() => undefined)
  }

  peerLeft(peer: PeerId): void {
    this.#lanes.get(peer.toString())?.waiting.clear()
  }

  #startNext(): void {
    for (const lane of this.#lanes.values()) {
      if (this.#running >= MAX_LANES) return
      if (!lane.isRunning) void this.#run(lane)
    }
  }

  async #run(lane: Lane): Promise<void> {
    const { signal, onValue } = this.#options
    this.#running += 1
    lane.isRunning = true
    let failures = 0
    for (const [text, key] of lane.waiting) {
      lane.waiting.delete(text)
      if (signal.aborted || failures === MAX_FAILURES) continue
      try {
        const value = await this.#fetch(lane.peer, key, signal)
        if (value !== undefined) await onValue(key, value)
        failures = 0
      } catch {
        failures += 1
      }
    }
    this.#running -= 1
    this.#lanes.delete(lane.peer.toString())
    this.#startNext()
  }

  /** Dials nobody. @throws what the protocol says; also when the peer has gone */
  async #fetch(peer: PeerId, key: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { libp2p, fetch } = this.#options
    if (libp2p.getConnections(peer).length === 0) return undefined
    return await fetch.fetch(peer, key, { signal: AbortSignal.any([signal, AbortSignal.timeout(FETCH_MS)]) })
  }
}
