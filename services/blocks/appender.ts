import { MIB } from '../core/units.ts'
import type { ActiveSegment } from './active-segment.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { Entering } from './enter-blocks.ts'
import { textOf } from './key.ts'
import { headBytesOf, writeHead } from './section.ts'
import type { SegmentFiles } from './segment-files.ts'

/** Bytes that are gathered to one write. */
const GROUP_BYTES = 4 * MIB
const GROUP_RECORDS = 4_096
/** Blocks after which `add` lets the event loop turn: a caller that only awaits puts would else stall it. */
const TURN_RECORDS = 256
/** Buffers of groups that are filled or written. Bounds the memory of all writers. */
const MAX_BUFFERS = 4
/** Groups that are gathered to one sync unless somebody waits for one; no more are written while the sync before runs. */
const SYNC_GROUPS = 8

/** A block on its way: bytes in a group's buffer, then a record on disk that the index does not know yet. */
interface Waiting {
  key: Uint8Array
  headBytes: number
  length: number
  /** Where the section starts in the group. */
  at: number
  movedFrom: Entering['movedFrom']
}

/** Blocks that are written by one write and become durable together. */
export class Group {
  readonly waiting: Waiting[] = []
  /** Until it is written. */
  buffer: Buffer | undefined
  used = 0
  /** Where it was written. */
  place: { segment: number; offset: number } | undefined
  /** Somebody waits for it, so that it is written and synced as soon as the disk is free. */
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
    return this.used + bytes <= GROUP_BYTES && this.waiting.length < GROUP_RECORDS
  }

  /** Adds a section; there is room for it. */
  put(cidBytes: Uint8Array, bytes: Uint8Array, record: Pick<Waiting, 'key' | 'headBytes' | 'movedFrom'>): Waiting {
    const buffer = this.buffer as Buffer
    const waiting = { ...record, length: bytes.length, at: this.used }
    const bodyAt = writeHead(buffer, this.used, cidBytes, bytes.length)
    buffer.set(bytes, bodyAt)
    this.used = bodyAt + bytes.length
    this.waiting.push(waiting)
    return waiting
  }
}

export interface AppenderOptions {
  active: ActiveSegment
  guard: DiskGuard
  segments: SegmentFiles
  /** Makes synced records part of the index, durably. */
  enter: (blocks: Entering[], cursor: { segment: number; offset: number }) => Promise<void>
}

/**
 * Writes blocks of all batches to the active segment. Three stages run at once, each in the order of the groups: groups
 * are written while those before them are synced, while those before these enter the index. What arrives while a sync
 * is under way joins the next, so that many small writers share one sync.
 */
export class Appender {
  readonly #options: AppenderOptions
  readonly #buffers: Buffer[] = []
  #buffersMade = 0
  #added = 0
  #filling: Group | undefined
  #full: Group[] = []
  /** Written, not yet synced. */
  #written: Group[] = []
  /** Every group that is not durable and indexed yet. */
  readonly #groups = new Set<Group>()
  /** Blocks that the index does not know yet, by key. */
  readonly #pending = new Map<string, { group: Group; waiting: Waiting }>()
  #writing: Promise<void> | undefined
  #syncing: Promise<void> | undefined
  #entering: Promise<void> = Promise.resolve()
  #exclusive: Promise<void> | undefined
  #bufferFreed = Promise.withResolvers<void>()

  constructor(options: AppenderOptions) {
    this.#options = options
  }

  /** The group that holds the block while it is on its way. */
  groupOf(key: Uint8Array): Group | undefined {
    return this.#pending.size === 0 ? undefined : this.#pending.get(textOf(key))?.group
  }

  /** A copy of a block that is on its way. */
  async bytesOf(key: Uint8Array): Promise<Uint8Array | undefined> {
    const found = this.#pending.size === 0 ? undefined : this.#pending.get(textOf(key))
    if (found === undefined) return undefined
    const { group, waiting } = found
    const start = waiting.at + waiting.headBytes
    if (group.buffer !== undefined) return Uint8Array.prototype.slice.call(group.buffer, start, start + waiting.length)
    if (group.place === undefined) return undefined
    const bytes = Buffer.allocUnsafeSlow(waiting.length)
    const isRead = await this.#options.segments.read(group.place.segment, group.place.offset + start, bytes)
    return isRead ? bytes : undefined
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
    const waiting = group.put(cidBytes, bytes, { key: new Uint8Array(key), headBytes, movedFrom })
    if (movedFrom === undefined) this.#pending.set(textOf(key), { group, waiting })
    return group
  }

  /** A group with that much room; undefined while all buffers are on their way to disk. */
  #groupFor(bytes: number): Group | undefined {
    if (this.#filling?.hasRoomFor(bytes)) return this.#filling
    this.#closeFilling()
    this.#write()
    const buffer = this.#takeBuffer()
    if (buffer === undefined) return undefined
    this.#filling = new Group(buffer)
    this.#groups.add(this.#filling)
    return this.#filling
  }

  #takeBuffer(): Buffer | undefined {
    const buffer = this.#buffers.pop()
    if (buffer !== undefined || this.#buffersMade === MAX_BUFFERS) return buffer
    this.#buffersMade += 1
    return Buffer.allocUnsafeSlow(GROUP_BYTES)
  }

  #freeBuffer(group: Group): void {
    if (group.buffer === undefined) return
    this.#buffers.push(group.buffer)
    group.buffer = undefined
    this.#bufferFreed.resolve()
    this.#bufferFreed = Promise.withResolvers<void>()
  }

  #closeFilling(): void {
    if (this.#filling !== undefined) this.#full.push(this.#filling)
    this.#filling = undefined
  }

  /** Waits until the group's blocks are durable and indexed. */
  async flush(group: Group): Promise<void> {
    group.wanted = true
    this.#write()
    this.#sync()
    await group.done
  }

  /** Waits until what is on its way now is durable and indexed, or has failed, whatever is added meanwhile. */
  async settlePresent(): Promise<void> {
    await Promise.allSettled([...this.#groups].map((group) => this.flush(group)))
  }

  /** Waits until nothing is on its way. */
  async settle(): Promise<void> {
    while (this.#groups.size > 0) await this.settlePresent()
  }

  /** Runs an action while nothing is being written, and all that was written is synced. */
  async exclusively(action: () => Promise<void>): Promise<void> {
    while (this.#exclusive !== undefined) await this.#exclusive
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#exclusive = promise
    try {
      await this.#writing
      await this.#syncWritten()
      await action()
    } finally {
      this.#exclusive = undefined
      resolve()
      this.#write()
    }
  }

  #write(): void {
    if (this.#exclusive === undefined) this.#writing ??= this.#writeAll()
  }

  async #writeAll(): Promise<void> {
    // Puts of the same turn of the event loop join before the first write.
    await turn()
    while (this.#exclusive === undefined) {
      // What is wanted while a sync is under way gathers for the next.
      if (this.#filling?.wanted && this.#syncing === undefined) this.#closeFilling()
      const groups = this.#full
      if (groups.length === 0) break
      this.#full = []
      if (this.#written.length >= SYNC_GROUPS) await this.#syncOnce()
      if (this.#options.active.isFull) await this.#syncWritten()
      await this.#writeGroups(groups)
      this.#sync()
    }
    this.#writing = undefined
  }

  async #writeGroups(groups: Group[]): Promise<void> {
    try {
      this.#assertRoom(groups)
      const { segment, offsets } = await this.#options.active.append(groups.map(sectionsOf))
      for (const [index, group] of groups.entries()) {
        group.place = { segment, offset: offsets[index] as number }
        this.#freeBuffer(group)
      }
      this.#written.push(...groups)
    } catch (error) {
      this.#end(groups, this.#options.guard.refuse(error))
    }
  }

  /** Copies by compaction may use the reserve, because they make room. */
  #assertRoom(groups: Group[]): void {
    const fresh = groups.some((group) => group.waiting.some(({ movedFrom }) => movedFrom === undefined))
    if (fresh) this.#options.guard.assertRoomFor(groups.reduce((sum, group) => sum + group.used, 0))
  }

  /** Syncs what is written if that is much, or somebody waits for it. */
  #sync(): void {
    if (this.#written.length >= SYNC_GROUPS || this.#written.some(({ wanted }) => wanted)) void this.#syncOnce()
  }

  async #syncWritten(): Promise<void> {
    while (this.#syncing !== undefined || this.#written.length > 0) await this.#syncOnce()
  }

  #syncOnce(): Promise<void> {
    this.#syncing ??= this.#syncGroups().finally(() => {
      this.#syncing = undefined
      this.#sync()
      if (this.#filling?.wanted) this.#write()
    })
    return this.#syncing
  }

  async #syncGroups(): Promise<void> {
    const groups = this.#written
    if (groups.length === 0) return
    this.#written = []
    try {
      await this.#options.active.sync()
    } catch (error) {
      // Nor is what was written since then, to the same file, to be trusted.
      const lost = [...groups, ...this.#written]
      this.#written = []
      this.#end(lost, this.#options.guard.refuse(error))
      return
    }
    // The set before is indexed while this one is synced, but never two at once: the cursor only goes forward.
    await this.#entering
    this.#entering = this.#enter(groups)
  }

  async #enter(groups: Group[]): Promise<void> {
    try {
      await this.#options.enter(groups.flatMap(recordsOf), endOf(groups))
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
      this.#groups.delete(group)
      this.#freeBuffer(group)
      if (error === undefined) group.resolve()
      else group.reject(error)
    }
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function sectionsOf({ buffer, used }: Group): Uint8Array {
  return (buffer as Buffer).subarray(0, used)
}

function recordsOf({ waiting, place }: Group): Entering[] {
  const { segment, offset } = place as NonNullable<Group['place']>
  return waiting.map(({ key, headBytes, length, at, movedFrom }) => ({
    key,
    segment,
    offset: offset + at,
    headBytes,
    length,
    movedFrom,
  }))
}

function endOf(groups: Group[]): { segment: number; offset: number } {
  const last = groups.at(-1) as Group
  const { segment, offset } = last.place as NonNullable<Group['place']>
  return { segment, offset: offset + last.used }
}
