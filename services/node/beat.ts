import { setImmediate } from 'node:timers/promises'
import type { BlockStore } from '../blocks/contract.ts'
import type { Beat } from '../core/sync.ts'
import { SECOND_MS } from '../core/units.ts'
import type { PeerClient } from '../swarm/client.ts'

export interface BeatSourceOptions {
  store: Pick<BlockStore, 'space' | 'roots'>
  peer: Pick<PeerClient, 'status'>
  /** What the node offers; undefined: all of its disk. */
  capacityBytes: number | undefined
}

type Space = ReturnType<BlockStore['space']>
type PeerFigures = Pick<Beat, 'peerId' | 'addresses'>

const NO_PEER: PeerFigures = { addresses: [] }
/** The peer process is asked no more often than this, and given up after that. */
const ASK_EVERY_MS = 5 * SECOND_MS
const ASK_WITHIN_MS = SECOND_MS
const COUNT_EVERY_MS = 10 * SECOND_MS
const COUNT_AT_ONCE = 1_000
const MAX_ADDRESSES = 16
const MAX_REFUSAL = 500

/** What the node says of itself with every call to the control plane. */
export class BeatSource {
  readonly #options: BeatSourceOptions
  #peer: PeerFigures = NO_PEER
  #peerAskedAt = Number.NEGATIVE_INFINITY
  #isAsking = false
  #lastSpace: Space | undefined
  #roots = 0
  #rootsCountedAt = Number.NEGATIVE_INFINITY

  constructor(options: BeatSourceOptions) {
    this.#options = options
  }

  /** What the node offers, never more than its disk has. */
  capacityBytes(): number {
    const { capacityBytes } = this.#space()
    return Math.min(this.#options.capacityBytes ?? capacityBytes, capacityBytes)
  }

  /** Waits for nobody: a peer or a disk that hangs does not make the node fall silent. */
  next(): Beat {
    const { freeBytes, storedBytes, blocks, refusal } = this.#space()
    const capacityBytes = this.capacityBytes()
    return {
      capacityBytes,
      freeBytes: Math.max(0, Math.min(freeBytes, capacityBytes - storedBytes)),
      storedBytes,
      blocks,
      roots: this.#rootCount(),
      ...(refusal === undefined ? {} : { refusal: refusal.slice(0, MAX_REFUSAL) }),
      ...this.#peerFigures(),
    }
  }

  /** A store that cannot be asked, as while its index is opened again, takes no writes; its reads may be well. */
  #space(): Space {
    try {
      this.#lastSpace = this.#options.store.space()
      return this.#lastSpace
    } catch (error) {
      if (this.#lastSpace === undefined) throw error
      return { ...this.#lastSpace, refusal: 'The block store does not say how much room it has.' }
    }
  }

  /** What the peer said last; it is asked again when that is old, or it said nothing. */
  #peerFigures(): PeerFigures {
    const isOld = this.#peer === NO_PEER || performance.now() - this.#peerAskedAt >= ASK_EVERY_MS
    if (isOld && !this.#isAsking) void this.#askPeer()
    return this.#peer
  }

  async #askPeer(): Promise<void> {
    this.#isAsking = true
    this.#peerAskedAt = performance.now()
    try {
      const { peerId, multiaddrs } = await this.#options.peer.status({ signal: AbortSignal.timeout(ASK_WITHIN_MS) })
      this.#peer = { peerId, addresses: multiaddrs.slice(0, MAX_ADDRESSES) }
    } catch {
      this.#peer = NO_PEER
    } finally {
      this.#isAsking = false
    }
  }

  /** The last count; a new one is begun when that is old. */
  #rootCount(): number {
    const now = performance.now()
    if (now - this.#rootsCountedAt >= COUNT_EVERY_MS) {
      this.#rootsCountedAt = now
      // What was counted last holds when the store cannot be asked.
      this.#countRoots().catch(() => {})
    }
    return this.#roots
  }

  async #countRoots(): Promise<void> {
    let count = 0
    for (const _ of this.#options.store.roots()) {
      count += 1
      // A million of them must not hold up everything else.
      if (count % COUNT_AT_ONCE === 0) await setImmediate()
    }
    this.#roots = count
  }
}
