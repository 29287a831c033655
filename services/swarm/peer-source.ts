import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import type { HoldfastError } from '../core/errors.ts'
import { MIB, SECOND_MS } from '../core/units.ts'
import type { Peer } from './peer.ts'
import { failureOf } from './retrieve-failure.ts'
import { lookUp, seek, type SeekOptions, type SeekReport } from './seek.ts'
import { Sources, type LossReason, type Source, type Want } from './sources.ts'
import type { Answer } from './wants.ts'

export interface PeerSourceOptions {
  /** Multiaddrs with `/p2p/…` of peers that may have the DAG: hints, tried as far as they can be. */
  origins: readonly string[]
  /** All waiting ends when no block has come for this long. */
  stallMs: number
  /** Another peer is asked when one has sent nothing for this long. */
  silenceMs: number
}

/** Wants in flight: for 1 MiB blocks 64 fill a link, for small ones it takes 256; a round trip's worth of bytes. */
const MIN_WINDOW = 64
export const MAX_WINDOW = 256
const WINDOW_BYTES = 64 * MIB
/** Blocks that were answered and not taken on by the caller: no more are asked for beyond this. */
const MAX_UNTAKEN_BYTES = 16 * MIB
const TICK_MS = SECOND_MS / 2

/**
 * The peers of the IPFS network that have one DAG, as a source of its blocks. Each block is asked of one peer at a
 * time, different blocks of different peers; a peer that denies, stalls or lies is replaced by another.
 */
export class PeerSource implements BlockSource, Disposable {
  readonly #peer: Peer
  readonly #root: CID
  readonly #options: PeerSourceOptions
  readonly #closing = new AbortController()
  readonly #sources = new Sources()
  readonly #seeking: SeekOptions
  readonly #report: SeekReport
  readonly #timer: NodeJS.Timeout
  /** Wants that no source is asked for. */
  #waiting: Want[] = []
  #openCount = 0
  #searches = 0
  #blocks = 0
  #bytes = 0
  #untakenBytes = 0
  #progressAt = performance.now()
  #failure: unknown

  /** Begins to look for peers that have the root. */
  constructor(peer: Peer, root: CID, options: PeerSourceOptions) {
    this.#peer = peer
    this.#root = root
    this.#options = options
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    peer.signal.addEventListener('abort', () => this.#fail(peer.signal.reason), { signal: this.#closing.signal })
    this.#seeking = {
      origins: options.origins,
      signal: this.#closing.signal,
      onSource: (found) => {
        this.#sources.add(found)
        this.#pump()
      },
    }
    const { report, done } = seek(peer, root, this.#seeking)
    this.#report = report
    void this.#search(done)
  }

  /**
   * The block. Its bytes have the multihash of the CID: bitswap computes it from them, and wants are answered by it.
   * @throws NOT_FOUND when no peer that has the root could be found; TIMED_OUT when no block came for `stallMs`;
   *   BLOCK_MISSING when no peer has this block; UPSTREAM_FAILED when all peers went away or lied;
   *   the signal's reason
   */
  get(cid: CID, { signal }: Abortable = {}): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const want: Want = { cid, deniedBy: new Set(), isLookedUp: false, resolve, reject }
    if (this.#failure !== undefined) {
      reject(this.#failure)
      return promise
    }
    const onAbort = (): void => {
      this.#drop(want)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort)
    this.#waiting.push(want)
    this.#pump()
    return promise.finally(() => signal?.removeEventListener('abort', onAbort))
  }

  /** Tells that the caller has passed a block on: only a bounded number of bytes is fetched ahead of that. */
  taken(bytes: number): void {
    this.#untakenBytes -= bytes
    this.#pump()
  }

  [Symbol.dispose](): void {
    this.#closing.abort()
    clearInterval(this.#timer)
    for (const source of this.#sources) this.#release(source)
    this.#waiting = []
  }

  /** Asks for as much as the window allows, and considers what can be asked of nobody. */
  #pump(): void {
    const blocked: Want[] = []
    while (this.#openCount < this.#window() && this.#untakenBytes < MAX_UNTAKEN_BYTES) {
      const want = this.#waiting.pop()
      if (want === undefined) break
      const source = this.#sources.bestFor(want)
      if (source === undefined) blocked.push(want)
      else this.#ask(source, want)
    }
    this.#waiting.push(...blocked)
    const stuck = blocked[0]
    if (stuck !== undefined && this.#openCount === 0 && this.#searches === 0) this.#unblock(stuck)
  }

  #window(): number {
    const mean = this.#blocks === 0 ? MIB : this.#bytes / this.#blocks
    return Math.min(MAX_WINDOW, Math.max(MIN_WINDOW, Math.floor(WINDOW_BYTES / mean)))
  }

  /** No source has it and no search goes on: ask the DHT for this very block once, then end. */
  #unblock(want: Want): void {
    if (want.isLookedUp || this.#sources.count === 0) {
      this.#fail(this.#failureOf({ missing: want.cid, isDenied: want.deniedBy.size > 0 }))
      return
    }
    want.isLookedUp = true
    void this.#search(lookUp(this.#peer, want.cid, this.#seeking, this.#report))
  }

  async #search(done: Promise<void>): Promise<void> {
    this.#searches += 1
    await done
    this.#searches -= 1
    this.#pump()
  }

  #ask(source: Source, want: Want): void {
    if (source.open.size === 0) source.activeAt = performance.now()
    this.#openCount += 1
    const takeBack = this.#peer.wants.block(source.peer, want.cid, (answer) => this.#hear(source, want, answer))
    source.open.set(want, takeBack)
  }

  #hear(source: Source, want: Want, answer: Answer): void {
    if (!source.open.delete(want)) return
    this.#openCount -= 1
    source.activeAt = performance.now()
    if (answer.kind === 'block') {
      this.#receive(source, want, answer.bytes)
    } else {
      this.#waiting.push(want)
      if (answer.kind === 'dont-have') want.deniedBy.add(source)
      else this.#strike(source, 'failed')
    }
    this.#pump()
  }

  #receive(source: Source, want: Want, bytes: Uint8Array): void {
    source.strikes = 0
    this.#progressAt = performance.now()
    this.#blocks += 1
    this.#bytes += bytes.length
    this.#untakenBytes += bytes.length
    want.resolve(bytes)
  }

  #strike(source: Source, why: LossReason): void {
    this.#sources.strike(source, why)
    // Others are asked for what it owes; when there are none, it is asked again.
    this.#release(source)
  }

  #release(source: Source): void {
    this.#openCount -= source.open.size
    for (const [want, takeBack] of source.open) {
      takeBack()
      this.#waiting.push(want)
    }
    source.open.clear()
  }

  #drop(want: Want): void {
    this.#waiting = this.#waiting.filter((other) => other !== want)
    for (const source of this.#sources) {
      source.open.get(want)?.()
      if (source.open.delete(want)) this.#openCount -= 1
    }
  }

  #tick(): void {
    const now = performance.now()
    for (const source of this.#sources) {
      if (source.open.size === 0 || now - source.activeAt < this.#options.silenceMs) continue
      // A peer that sends blocks nobody asked for, and not those that were, answers with wrong bytes.
      this.#strike(source, this.#peer.wants.unaskedBlocksOf(source.peer) > 0 ? 'wrong' : 'silent')
    }
    const isIdle = this.#openCount === 0 && this.#waiting.length === 0
    const isHeldUp = this.#untakenBytes >= MAX_UNTAKEN_BYTES
    if (isIdle || isHeldUp) this.#progressAt = now
    else if (now - this.#progressAt > this.#options.stallMs) this.#fail(this.#failureOf('stalled'))
    this.#pump()
  }

  #fail(reason: unknown): void {
    this.#failure ??= reason
    const wants = [...this.#waiting, ...[...this.#sources].flatMap((source) => [...source.open.keys()])]
    for (const source of this.#sources) this.#release(source)
    this.#waiting = []
    for (const want of wants) want.reject(this.#failure)
  }

  #failureOf(ending: 'stalled' | { missing: CID; isDenied: boolean }): HoldfastError {
    return failureOf({
      root: this.#root,
      ending,
      report: this.#report,
      sources: this.#sources,
      blocks: this.#blocks,
      stallMs: this.#options.stallMs,
    })
  }
}
