import type { CID } from 'multiformats/cid'
import { checkCid, isIdentity } from '../core/cid.ts'
import { MIB } from '../core/units.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { SingleFlight } from './single-flight.ts'

/** Blocks that are not on this node, as a run gets them. */
interface FarBlocks {
  /** Whether the block is on this node, and not to be fetched. */
  isNear(key: string, cid: CID): boolean
  /** Gets what it can of the blocks by few calls, and tells of each as it comes; the bytes are the listener's. */
  many(
    cids: readonly CID[],
    options: { signal: AbortSignal; onBlock: (key: string, bytes: Uint8Array) => void },
  ): Promise<void>
  /** One of them that did not come that way; undefined when nobody has it. */
  one(key: string, cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined>
}

export interface BlockRunOptions {
  far: FarBlocks
  /** What others wait for as well, over all runs. */
  flights: SingleFlight<Uint8Array | undefined>
  /** Memory of all runs together. */
  budget: ByteBudget
  /** Ends the run. */
  signal: AbortSignal
}

/** Bytes of one run that are asked for and not read yet. */
const WINDOW_BYTES = 12 * MIB
/** What one call asks for once the run is in swing: a few of them fill the window. */
const CALL_BYTES = 2 * MIB
const CALL_BLOCKS = 256
const MAX_CALLS = 6
/** Blocks that are looked at for one call, most of which can be on this node. */
const LOOKS_PER_CALL = 1_024
/** Of a block while none has come: what files are cut into, or more. */
const LIKELY_BYTES = MIB
/** Weight of the newest block in the mean. */
const NEWEST = 0.2
const REMEMBERED_BLOCKS = 4_096
const MAX_EXPECTED = 65_536

interface Coming {
  answer: Promise<Uint8Array | undefined>
  reserved: number
}

/**
 * Gets the blocks that one reader has said it will read ahead of it: many by one call, several calls at once, within a
 * bounded window. The first calls are small, so that the first block is soon there. Whatever has no room here, or does not
 * come, the reader gets one by one.
 */
export class BlockRun {
  readonly #options: BlockRunOptions
  /** What is expected, the next list last. */
  #lists: Iterator<CID>[] = []
  #expected = 0
  readonly #coming = new Map<string, Coming>()
  /** Blocks that were asked for lately: a DAG can repeat its blocks. */
  readonly #asked = new Set<string>()
  #isStarted = false
  #reserved = 0
  #calls = 0
  #callBlocks = 1
  #meanBytes: number | undefined

  constructor(options: BlockRunOptions) {
    this.#options = options
    options.signal.addEventListener('abort', () => this.#end(), { once: true })
  }

  /** These blocks are read next, in this order, and only then what was expected before. */
  expect(cids: readonly CID[]): void {
    if (this.#options.signal.aborted || this.#expected + cids.length > MAX_EXPECTED) return
    this.#expected += cids.length
    this.#lists.push(cids.values())
    if (this.#isStarted) this.#fill()
  }

  /**
   * The block, which is not on this node, when it is on its way; undefined when the reader has to get it otherwise.
   * The first one starts the run: readers of what is on this node's own disk need none.
   */
  get(key: string): Promise<Uint8Array | undefined> | undefined {
    if (!this.#isStarted) {
      this.#isStarted = true
      this.#fill()
    }
    const coming = this.#coming.get(key)
    if (coming === undefined) {
      this.#note(key)
      return undefined
    }
    this.#coming.delete(key)
    this.#reserve(-coming.reserved)
    this.#fill()
    return coming.answer
  }

  #fill(): void {
    while (this.#calls < MAX_CALLS && !this.#options.signal.aborted) {
      const cids = this.#nextCall()
      if (cids.size === 0) return
      void this.#call(cids)
    }
  }

  /** Blocks for one call; none while there is no room for a call that is worth it. */
  #nextCall(): Map<string, CID> {
    const mean = this.#meanBytes ?? LIKELY_BYTES
    const worth = Math.min(this.#callBlocks, CALL_BLOCKS, Math.ceil(CALL_BYTES / mean))
    const room = Math.floor(Math.min(WINDOW_BYTES - this.#reserved, this.#options.budget.free) / mean)
    const wanted = new Map<string, CID>()
    if (room < worth && this.#reserved > 0) return wanted
    for (let looks = 0; wanted.size < Math.min(worth, room) && looks < LOOKS_PER_CALL; looks++) {
      const cid = this.#next()
      if (cid === undefined) break
      const key = multihashKey(cid)
      if (this.#isWanted(key, cid)) wanted.set(key, cid)
    }
    if (wanted.size > 0) this.#callBlocks = Math.min(CALL_BLOCKS, worth * 2)
    return wanted
  }

  #next(): CID | undefined {
    for (let list = this.#lists.at(-1); list !== undefined; list = this.#lists.at(-1)) {
      const { value, done } = list.next()
      if (done !== true) {
        this.#expected -= 1
        return value
      }
      this.#lists.pop()
    }
    return undefined
  }

  #isWanted(key: string, cid: CID): boolean {
    if (isIdentity(cid) || this.#asked.has(key)) return false
    const { far, flights } = this.#options
    if (flights.has(key) || far.isNear(key, cid)) return false
    try {
      checkCid(cid)
    } catch {
      // The reader is told when it gets there.
      return false
    }
    this.#note(key)
    return true
  }

  async #call(cids: Map<string, CID>): Promise<void> {
    const { far, flights, signal } = this.#options
    const stop = new AbortController()
    const waiting = new Map<string, PromiseWithResolvers<Uint8Array | undefined>>()
    this.#calls += 1
    const reserved = this.#meanBytes ?? LIKELY_BYTES
    for (const key of cids.keys()) {
      const arrival = Promise.withResolvers<Uint8Array | undefined>()
      waiting.set(key, arrival)
      const fly = (unwanted: AbortSignal): Promise<Uint8Array | undefined> => {
        unwanted.addEventListener('abort', () => {
          if (waiting.delete(key) && waiting.size === 0) stop.abort()
        })
        return arrival.promise
      }
      const answer = flights.share(key, fly, signal)
      answer.catch(() => {})
      this.#coming.set(key, { answer, reserved })
      this.#reserve(reserved)
    }
    const onBlock = (key: string, bytes: Uint8Array): void => {
      waiting.get(key)?.resolve(bytes)
      waiting.delete(key)
      this.#arrived(key, bytes.length)
    }
    try {
      await far.many([...cids.values()], { signal: stop.signal, onBlock })
    } catch {
      // Each of those that have not come is tried by itself, and tells its own failure.
    }
    this.#calls -= 1
    for (const [key, arrival] of waiting) arrival.resolve(far.one(key, cids.get(key) as CID, stop.signal))
    this.#fill()
  }

  #arrived(key: string, length: number): void {
    const mean = this.#meanBytes
    this.#meanBytes = Math.max(1, mean === undefined ? length : mean * (1 - NEWEST) + length * NEWEST)
    const coming = this.#coming.get(key)
    if (coming === undefined) return
    this.#reserve(length - coming.reserved)
    coming.reserved = length
  }

  #reserve(bytes: number): void {
    this.#reserved += bytes
    this.#options.budget.take(bytes)
  }

  #note(key: string): void {
    this.#asked.add(key)
    const [oldest] = this.#asked
    if (this.#asked.size > REMEMBERED_BLOCKS && oldest !== undefined) this.#asked.delete(oldest)
  }

  #end(): void {
    this.#lists = []
    this.#coming.clear()
    this.#reserve(-this.#reserved)
  }
}
