import { MIB } from '../core/units.ts'
import type { ActiveSegment } from './active-segment.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { Entering } from './enter-blocks.ts'
import { textOf } from './key.ts'
import { headBytesOf, writeHead } from './section.ts'

/** Bytes that are gathered to one write. */
const GROUP_BYTES = 4 * MIB
const GROUP_RECORDS = 4_096
/** Blocks after which `add` lets the event loop turn: a caller that only awaits puts would else stall it. */
const TURN_RECORDS = 256
/** Groups that exist at once: one is filled, others are written, synced and indexed. Bounds the memory of all writers. */
const MAX_GROUPS = 6

/** A block on its way: bytes in a group's buffer, then a record on disk that the index does not know yet. */
interface Waiting {
  key: Uint8Array
  headBytes: number
  length: number
  /** Where the section starts in the buffer. */
  at: number
  movedFrom: Entering['movedFrom']
}

/** Blocks that are written by one write and become durable together. */
export class Group {
  readonly waiting: Waiting[] = []
  readonly buffer: Buffer
  used = 0
  /** Somebody waits for it, so that it is written as soon as the disk is free. */
  wanted = false
  readonly done: Promise<void>
  resolve!: () => void
  reject!: (error: unknown) => void

  constructor(buffer: Buffer) {
    this.buffer = buffer
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // A group may fail while nobody waits for it; those who put a block into it learn it by their flush.
    this.done.catch(() => undefined)
  }

  hasRoomFor(bytes: number): boolean {
    return this.used + bytes <= this.buffer.length && this.waiting.length < GROUP_RECORDS
  }

  sections(): Uint8Array {
    return this.buffer.subarray(0, this.used)
  }
}

interface AppenderOptions {
  active: ActiveSegment
  guard: DiskGuard
  /** Makes synced records part of the index, durably. */
  enter: (blocks: Entering[], cursor: { segment: number; offset: number }) => Promise<void>
}

/**
 * Writes blocks of all batches to the active segment. What arrives while a sync is under way joins the next, so that
 * many small writers share one sync; and the index takes one set of groups while the next is being synced.
 */
export class Appender {
  readonly #options: AppenderOptions
  readonly #buffers: Buffer[] = []
  #buffersMade = 0
  #added = 0
  #filling: Group | undefined
  #full: Group[] = []
  /** Blocks that the index does not know yet, by key. */
  readonly #pending = new Map<string, { group: Group; waiting: Waiting }>()
  #writing: Promise<void> | undefined
  #entering: Promise<void> = Promise.resolve()
  #bufferFreed = Promise.withResolvers<void>()

  constructor(options: AppenderOptions) {
    this.#options = options
  }

  /** The group that holds the block while it is on its way. */
  groupOf(key: Uint8Array): Group | undefined {
    return this.#pending.size === 0 ? undefined : this.#pending.get(textOf(key))?.group
  }

  /** A copy of a block that is on its way. */
  bytesOf(key: Uint8Array): Uint8Array | undefined {
    const found = this.#pending.size === 0 ? undefined : this.#pending.get(textOf(key))
    if (found === undefined) return undefined
    const start = found.waiting.at + found.waiting.headBytes
    return Uint8Array.prototype.slice.call(found.group.buffer, start, start + found.waiting.length)
  }

  /**
   * Copies the block into a group, which is answered; waits while too much is on its way.
   * `movedFrom` marks a record that compaction copies: the index follows only if the block is still there.
   */
  async add(
    cidBytes: Uint8Array,
    key: Uint8Array,
    bytes: Uint8Array,
    movedFrom?: Entering['movedFrom'],
  ): Promise<Group> {
    this.#added += 1
    if (this.#added % TURN_RECORDS === 0) await turn()
    const headBytes = headBytesOf(cidBytes, bytes.length)
    // Between finding room and filling it nothing may wait, or two writers would fill the same room.
    let group = this.#groupFor(headBytes + bytes.length)
    for (; group === undefined; group = this.#groupFor(headBytes + bytes.length)) await this.#bufferFreed.promise
    const waiting = { key: new Uint8Array(key), headBytes, length: bytes.length, at: group.used, movedFrom }
    const bodyAt = writeHead(group.buffer, group.used, cidBytes, bytes.length)
    group.buffer.set(bytes, bodyAt)
    group.used = bodyAt + bytes.length
    group.waiting.push(waiting)
    if (movedFrom === undefined) this.#pending.set(textOf(key), { group, waiting })
    return group
  }

  /** A group with that much room; undefined while all buffers are on their way to disk. */
  #groupFor(bytes: number): Group | undefined {
    if (this.#filling?.hasRoomFor(bytes)) return this.#filling
    if (this.#filling !== undefined) this.#close(this.#filling)
    const buffer = this.#takeBuffer()
    if (buffer !== undefined) this.#filling = new Group(buffer)
    return this.#filling
  }

  #takeBuffer(): Buffer | undefined {
    const buffer = this.#buffers.pop()
    if (buffer !== undefined || this.#buffersMade === MAX_GROUPS) return buffer
    this.#buffersMade += 1
    return Buffer.allocUnsafeSlow(GROUP_BYTES)
  }

  #close(group: Group): void {
    this.#filling = undefined
    this.#full.push(group)
    this.#writing ??= this.#writeAll()
  }

  /** Waits until the group's blocks are durable and indexed. */
  async flush(group: Group): Promise<void> {
    group.wanted = true
    this.#writing ??= this.#writeAll()
    await group.done
  }

  /** Waits until nothing is on its way. */
  async settle(): Promise<void> {
    if (this.#filling !== undefined) this.#filling.wanted = true
    this.#writing ??= this.#writeAll()
    while (this.#writing !== undefined) await this.#writing
    await this.#entering
  }

  /** Runs an action while nothing is being written. */
  async exclusively(action: () => Promise<void>): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
    const run = action()
    this.#writing = this.#goOnAfter(run)
    await run
  }

  async #goOnAfter(run: Promise<void>): Promise<void> {
    await run.catch(() => undefined)
    this.#writing = this.#full.length > 0 || this.#filling?.wanted ? this.#writeAll() : undefined
  }

  async #writeAll(): Promise<void> {
    // Puts of the same turn of the event loop join before the first write.
    await turn()
    for (;;) {
      if (this.#filling?.wanted) {
        this.#full.push(this.#filling)
        this.#filling = undefined
      }
      const groups = this.#full
      if (groups.length === 0) break
      this.#full = []
      await this.#writeGroups(groups)
    }
    this.#writing = undefined
  }

  async #writeGroups(groups: Group[]): Promise<void> {
    try {
      this.#assertRoom(groups)
      const { segment, offsets } = await this.#options.active.append(groups.map((group) => group.sections()))
      const end = (offsets.at(-1) ?? 0) + (groups.at(-1)?.used ?? 0)
      const blocks = groups.flatMap((group, index) => recordsOf(group, segment, offsets[index] ?? 0))
      // The set before is indexed while this one is synced, but never two at once: the cursor only goes forward.
      await this.#entering
      this.#entering = this.#enter(groups, blocks, { segment, offset: end })
    } catch (error) {
      this.#end(groups, this.#options.guard.refuse(error))
    }
  }

  /** Copies by compaction may use the reserve, because they make room. */
  #assertRoom(groups: Group[]): void {
    const fresh = groups.some((group) => group.waiting.some(({ movedFrom }) => movedFrom === undefined))
    if (fresh) this.#options.guard.assertRoomFor(groups.reduce((sum, group) => sum + group.used, 0))
  }

  async #enter(groups: Group[], blocks: Entering[], cursor: { segment: number; offset: number }): Promise<void> {
    try {
      await this.#options.enter(blocks, cursor)
      this.#end(groups, undefined)
    } catch (error) {
      this.#end(groups, error)
    }
  }

  #end(groups: Group[], error: unknown): void {
    for (const group of groups) {
      for (const { key } of group.waiting) {
        const text = textOf(key)
        if (this.#pending.get(text)?.group === group) this.#pending.delete(text)
      }
      if (error === undefined) group.resolve()
      else group.reject(error)
      this.#buffers.push(group.buffer)
    }
    this.#bufferFreed.resolve()
    this.#bufferFreed = Promise.withResolvers<void>()
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function recordsOf(group: Group, segment: number, start: number): Entering[] {
  return group.waiting.map(({ key, headBytes, length, at, movedFrom }) => ({
    key,
    segment,
    offset: start + at,
    headBytes,
    length,
    movedFrom,
  }))
}
