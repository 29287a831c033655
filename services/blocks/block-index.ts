import { open, type Database, type RootDatabase } from 'lmdb'
import type { ManifestEntry } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { GIB } from '../core/units.ts'
import { indexFolder } from './layout.ts'
import {
  decodeBlockRow,
  decodeChunk,
  decodeRootRow,
  decodeSegmentRow,
  decodeState,
  encodeBlockRow,
  encodeChunk,
  encodeChunkKey,
  encodeNumberKey,
  encodeRootRow,
  encodeSegmentRow,
  encodeState,
  FIRST_STATE,
  FORMAT,
  type BlockRow,
  type RootRow,
  type SegmentRow,
  type StateRow,
} from './rows.ts'

type Table = Database<Buffer, Buffer>

/**
 * Address space for the index, not memory: room for a billion blocks. A fixed size spares LMDB the remapping by which
 * it otherwise follows a growing file.
 */
const MAP_BYTES = 256 * GIB

const STATE_KEY = Buffer.from('state')

/**
 * The index of a store: block rows by multihash, roots, manifests, live bytes of segments, unfinished work.
 * Reads are synchronous and see the last commit, or inside `IndexWriter.write` the transaction.
 */
export class BlockIndex {
  readonly #folder: string
  readonly #readOnly: boolean
  #isOpen = false
  #fresh = false
  #env!: RootDatabase<Buffer, Buffer>
  #blocks!: Table
  #roots!: Table
  #manifests!: Table
  #segments!: Table
  #jobs!: Table
  #state!: Table

  constructor(folder: string, options: { readOnly: boolean }) {
    this.#folder = folder
    this.#readOnly = options.readOnly
    this.#open()
  }

  #open(): void {
    const encoding = { keyEncoding: 'binary', encoding: 'binary' } as const
    this.#env = open<Buffer, Buffer>({
      path: indexFolder(this.#folder),
      ...encoding,
      readOnly: this.#readOnly,
      noSubdir: false,
      maxDbs: 8,
      mapSize: MAP_BYTES,
      // A commit has reached the disk when its promise resolves; there is no second, later promise to wait for.
      overlappingSync: false,
      // Batching by event turn makes promises of its own that nobody can catch when a commit fails.
      eventTurnBatching: false,
    })
    const table = (name: string): Table => this.#env.openDB<Buffer, Buffer>({ name, ...encoding })
    this.#isOpen = true
    this.#blocks = table('blocks')
    this.#roots = table('roots')
    this.#manifests = table('manifests')
    this.#segments = table('segments')
    this.#jobs = table('jobs')
    this.#state = table('state')
    const { format } = this.#stateRow()
    if (format === FORMAT) return
    void this.close()
    throw new HoldfastError('STORAGE_FAILED', `The block store at ${this.#folder} has the unknown format ${format}.`)
  }

  /** Opens the index anew, which clears LMDB's memory of a failed disk. Nothing may write meanwhile. */
  async reopen(): Promise<void> {
    await this.close()
    this.#open()
  }

  /** Runs `action` in one write transaction; resolves when it has reached the disk. Used by `IndexWriter` only. */
  transaction(action: () => void): Promise<void> {
    return this.#env.transaction(action)
  }

  /** Makes the next read see the last commit. */
  refresh(): void {
    this.#env.resetReadTxn()
  }

  /**
   * A reader cannot know of commits, so it looks anew in each callback; reads of one callback see one state.
   * The writer refreshes after each commit.
   */
  #lookAnew(): void {
    if (!this.#readOnly || this.#fresh) return
    this.#fresh = true
    queueMicrotask(() => (this.#fresh = false))
    this.refresh()
  }

  block(key: Uint8Array): BlockRow | undefined {
    this.#lookAnew()
    const bytes = this.#blocks.getBinaryFast(key as Buffer)
    return bytes === undefined ? undefined : decodeBlockRow(bytes)
  }

  putBlock(key: Uint8Array, row: BlockRow): void {
    void this.#blocks.put(key as Buffer, encodeBlockRow(row))
  }

  removeBlock(key: Uint8Array): void {
    void this.#blocks.remove(key as Buffer)
  }

  /** Up to `limit` blocks in the order of their keys, those after `after`. */
  blocksAfter(after: Buffer | undefined, limit: number): { key: Buffer; row: BlockRow }[] {
    return pageOf(this.#blocks, after, limit).map(({ key, value }) => ({ key, row: decodeBlockRow(value) }))
  }

  state(): StateRow {
    return this.#stateRow()
  }

  #stateRow(): StateRow & { format: number } {
    this.#lookAnew()
    const bytes = this.#state.getBinaryFast(STATE_KEY)
    return bytes === undefined ? { ...FIRST_STATE, format: FORMAT } : decodeState(bytes)
  }

  putState(state: StateRow): void {
    void this.#state.put(STATE_KEY, encodeState(state))
  }

  root(key: Uint8Array): RootRow | undefined {
    this.#lookAnew()
    const bytes = this.#roots.getBinaryFast(key as Buffer)
    return bytes === undefined ? undefined : decodeRootRow(bytes)
  }

  putRoot(key: Uint8Array, row: RootRow): void {
    void this.#roots.put(key as Buffer, encodeRootRow(row))
  }

  removeRoot(key: Uint8Array): void {
    void this.#roots.remove(key as Buffer)
  }

  rootsAfter(after: Buffer | undefined, limit: number): { key: Buffer; row: RootRow }[] {
    this.#lookAnew()
    return pageOf(this.#roots, after, limit).map(({ key, value }) => ({ key, row: decodeRootRow(value) }))
  }

  chunk(serial: number, chunk: number): ManifestEntry[] | undefined {
    this.#lookAnew()
    const bytes = this.#manifests.getBinary(encodeChunkKey(serial, chunk))
    return bytes === undefined ? undefined : decodeChunk(bytes)
  }

  putChunk(serial: number, chunk: number, entries: readonly ManifestEntry[]): void {
    void this.#manifests.put(encodeChunkKey(serial, chunk), encodeChunk(entries))
  }

  removeChunk(serial: number, chunk: number): void {
    void this.#manifests.remove(encodeChunkKey(serial, chunk))
  }

  /** Whether the manifest has a chunk behind this one. */
  hasChunkAfter(serial: number, chunk: number): boolean {
    const range = { start: encodeChunkKey(serial, chunk + 1), end: encodeChunkKey(serial + 1, 0), limit: 1 }
    return [...this.#manifests.getKeys(range)].length > 0
  }

  segment(segment: number): SegmentRow | undefined {
    this.#lookAnew()
    const bytes = this.#segments.getBinaryFast(encodeNumberKey(segment))
    return bytes === undefined ? undefined : decodeSegmentRow(bytes)
  }

  putSegment(segment: number, row: SegmentRow): void {
    void this.#segments.put(encodeNumberKey(segment), encodeSegmentRow(row))
  }

  removeSegment(segment: number): void {
    void this.#segments.remove(encodeNumberKey(segment))
  }

  /** Serials whose counts are to be taken back: commits that did not end, and releases under way. */
  jobs(): number[] {
    return [...this.#jobs.getKeys()].map((key) => key.readUInt32BE(0))
  }

  putJob(serial: number): void {
    void this.#jobs.put(encodeNumberKey(serial), Buffer.alloc(1))
  }

  removeJob(serial: number): void {
    void this.#jobs.remove(encodeNumberKey(serial))
  }

  /** Harmless when it is closed already. */
  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#env.close()
  }
}

/** Rows after a key, read at once, so that no cursor keeps old pages alive while a caller takes its time. */
function pageOf(table: Table, after: Buffer | undefined, limit: number): { key: Buffer; value: Buffer }[] {
  return [...table.getRange(after === undefined ? { limit } : { start: after, exclusiveStart: true, limit })]
}
