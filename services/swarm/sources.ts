import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'

/** A block that some peer is to send. */
export interface Want {
  cid: CID
  /** Peers that say they do not have it. */
  deniedBy: Set<Source>
  /** Whether the DHT was asked for peers that have this very block. */
  isLookedUp: boolean
  resolve(bytes: Uint8Array): void
  reject(reason: unknown): void
}

/** A peer that is believed to have the DAG. */
export class Source {
  readonly peer: PeerId
  /** What it has been asked for, and how to take that back. */
  readonly open = new Map<Want, () => void>()
  /** Failures in a row: silence, a broken connection, wrong bytes. */
  strikes = 0
  /** When it last sent something or began to be asked, on the clock of `performance.now()`. */
  activeAt = 0

  constructor(peer: PeerId) {
    this.peer = peer
  }
}

/** Why a peer is no longer a source. */
export type LossReason = 'silent' | 'failed' | 'wrong'

/** Failures in a row after which a source is not asked again. */
const MAX_STRIKES = 3

/** The peers that one DAG is fetched from. */
export class Sources {
  readonly #sources = new Map<string, Source>()
  readonly #lost: Record<LossReason, number> = { silent: 0, failed: 0, wrong: 0 }
  #known = 0

  /** Peers that were ever sources. */
  get known(): number {
    return this.#known
  }

  get count(): number {
    return this.#sources.size
  }

  /** Peers given up, by reason. */
  get lost(): Readonly<Record<LossReason, number>> {
    return this.#lost
  }

  [Symbol.iterator](): Iterator<Source> {
    return this.#sources.values()
  }

  /** Adds the peer; one that was given up gets another chance when it is found again. */
  add(peer: PeerId): void {
    const name = peer.toString()
    if (this.#sources.has(name)) return
    this.#sources.set(name, new Source(peer))
    this.#known += 1
  }

  /** The source to ask next: of those that have not denied the want, the most reliable, and then the least busy. */
  bestFor(want: Want): Source | undefined {
    let best: Source | undefined
    for (const source of this.#sources.values()) {
      if (want.deniedBy.has(source)) continue
      if (best === undefined || isBetter(source, best)) best = source
    }
    return best
  }

  /** Counts a failure, and gives the source up when it was one too many. */
  strike(source: Source, why: LossReason): void {
    source.strikes += 1
    if (source.strikes < MAX_STRIKES) return
    if (this.#sources.delete(source.peer.toString())) this.#lost[why] += 1
  }
}

function isBetter(a: Source, b: Source): boolean {
  return a.strikes === b.strikes ? a.open.size < b.open.size : a.strikes < b.strikes
}
