import { setTimeout as delay } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { hasCode } from '../core/errors.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { TransferClient } from './client.ts'
import { laneToTakeOver, rateOf, type Lane, type Range } from './ranges.ts'

export interface FetchRangesOptions {
  client: Pick<TransferClient, 'blocks'>
  /** Names of nodes, the best first. */
  sources: readonly string[]
  /** Ranges at once from each source: two, so that one arrives while the next is asked for. */
  lanesPerSource: number
  signal: AbortSignal
  /** Takes a block; what it throws ends everything. */
  take: (block: Block) => Promise<void>
}

/** Ranges that wait for a source; the planner is held back by it. */
const QUEUE_LENGTH = 64
const FAILURES_IN_A_ROW = 3
/** How often an idle source looks whether others have become slow. */
const LOOK_EVERY_MS = 250

interface Source {
  name: string
  failures: number
  isDropped: boolean
  bytesPerMs: number | undefined
}

interface RunningLane extends Lane {
  stop: AbortController
}

/**
 * Fetches ranges of blocks from several nodes at once. Whoever is free takes the next range; at the end, the rest of a
 * slow one. A node that lies is dropped at once, one that fails after some failures in a row, and what they owe goes to
 * the others. Blocks that no source has are left out: whether they matter, only the DAG can say.
 */
export async function fetchRanges(ranges: AsyncIterable<Range>, options: FetchRangesOptions): Promise<void> {
  const run = new RangeRun(options)
  await run.complete(ranges)
}

class RangeRun {
  readonly #options: FetchRangesOptions
  readonly #sources: Source[]
  readonly #queue: Range[] = []
  readonly #lanes = new Set<RunningLane>()
  /** Calls that have not ended, those included whose lanes others have taken over: these can still tell what they lack. */
  #calls = 0
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  #planned = false
  #changed = Promise.withResolvers<void>()

  constructor(options: FetchRangesOptions) {
    this.#options = options
    this.#sources = options.sources.map((name) => ({ name, failures: 0, isDropped: false, bytesPerMs: undefined }))
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal])
  }

  async complete(ranges: AsyncIterable<Range>): Promise<void> {
    const workers = this.#sources.flatMap((source) =>
      Array.from({ length: this.#options.lanesPerSource }, () => this.#work(source)),
    )
    try {
      await Promise.all([this.#plan(ranges), ...workers])
    } finally {
      this.#stop.abort()
      this.#notify()
      await Promise.allSettled(workers)
    }
  }

  async #plan(ranges: AsyncIterable<Range>): Promise<void> {
    for await (const range of ranges) {
      while (this.#queue.length >= QUEUE_LENGTH && this.#hasSources()) await this.#change()
      if (!this.#hasSources()) break
      this.#signal.throwIfAborted()
      this.#queue.push(range)
      this.#notify()
    }
    this.#planned = true
    this.#notify()
  }

  async #work(source: Source): Promise<void> {
    while (!source.isDropped && !this.#isDone()) {
      this.#signal.throwIfAborted()
      const range = this.#next(source)
      if (range === undefined) await this.#change()
      else await this.#fetch(source, range)
      // A busy or broken node gets a moment; others can take what it owes meanwhile.
      if (source.failures > 0) await delay(LOOK_EVERY_MS * source.failures, undefined, { signal: this.#signal })
    }
  }

  #next(source: Source): Range | undefined {
    const index = this.#queue.findIndex((range) => !range.lackedBy.has(source.name))
    if (index >= 0) return this.#queue.splice(index, 1)[0]
    const idle = { source: source.name, bytesPerMs: source.bytesPerMs }
    const slow = laneToTakeOver(this.#lanes, idle, performance.now()) as RunningLane | undefined
    if (slow === undefined) return undefined
    this.#lanes.delete(slow)
    slow.stop.abort()
    return restOf(slow)
  }

  async #fetch(source: Source, range: Range): Promise<void> {
    const now = performance.now()
    const stop = new AbortController()
    const lane: RunningLane = { source: source.name, range, next: 0, bytes: 0, startedAt: now, progressAt: now, stop }
    this.#lanes.add(lane)
    this.#calls += 1
    const lacked: CID[] = []
    try {
      const signal = AbortSignal.any([this.#signal, stop.signal])
      for await (const block of this.#options.client.blocks(source.name, range.cids, { signal })) {
        advance(lane, block, lacked)
        await this.#take(block)
      }
      if (this.#lanes.has(lane)) lacked.push(...range.cids.slice(lane.next))
      lane.next = range.cids.length
      source.failures = 0
    } catch (error) {
      this.#signal.throwIfAborted()
      if (!stop.signal.aborted) this.#blame(source, error)
    } finally {
      this.#calls -= 1
      if (lane.bytes > 0) source.bytesPerMs = rateOf(lane, performance.now())
      this.#requeue(lane, lacked)
    }
  }

  async #take(block: Block): Promise<void> {
    try {
      await this.#options.take(block)
    } catch (error) {
      // This node's disk, not the source's fault.
      this.#stop.abort(error)
      throw error
    }
  }

  #blame(source: Source, error: unknown): void {
    source.failures += 1
    source.isDropped ||= source.failures >= FAILURES_IN_A_ROW || hasCode(error, 'HASH_MISMATCH', 'NOT_FOUND')
    if (!hasCode(error)) throw error
  }

  /** What the lane owes goes back, unless another has taken it over; what its source lacks is for others. */
  #requeue(lane: RunningLane, lacked: CID[]): void {
    const rest = restOf(lane)
    if (this.#lanes.delete(lane) && rest.cids.length > 0) this.#queue.unshift(rest)
    if (lacked.length > 0) {
      const lackedBy = new Set([...lane.range.lackedBy, lane.source])
      this.#queue.push({ cids: lacked, bytes: 0, lackedBy })
    }
    this.#forgetHopeless()
    this.#notify()
  }

  #forgetHopeless(): void {
    const names = this.#sources.filter(({ isDropped }) => !isDropped).map(({ name }) => name)
    const hopeful = this.#queue.filter(({ lackedBy }) => names.some((name) => !lackedBy.has(name)))
    this.#queue.splice(0, this.#queue.length, ...hopeful)
  }

  #hasSources(): boolean {
    return this.#sources.some(({ isDropped }) => !isDropped)
  }

  #isDone(): boolean {
    return this.#planned && this.#queue.length === 0 && this.#calls === 0
  }

  #notify(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async #change(): Promise<void> {
    const timer = new AbortController()
    try {
      await Promise.race([this.#changed.promise, delay(LOOK_EVERY_MS, undefined, { signal: timer.signal })])
    } finally {
      timer.abort()
    }
  }
}

/** Notes the arrival of a block, and those that were passed over because the source lacks them. */
function advance(lane: Lane, block: Block, lacked: CID[]): void {
  const key = multihashKey(block.cid)
  for (let cid = lane.range.cids[lane.next]; cid !== undefined; cid = lane.range.cids[lane.next]) {
    lane.next += 1
    if (multihashKey(cid) === key) break
    lacked.push(cid)
  }
  lane.bytes += block.bytes.length
  lane.progressAt = performance.now()
}

function restOf(lane: Lane): Range {
  const cids = lane.range.cids.slice(lane.next)
  return { cids, bytes: Math.max(0, lane.range.bytes - lane.bytes), lackedBy: lane.range.lackedBy }
}
