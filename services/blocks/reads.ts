import { CID } from 'multiformats/cid'
import type { Abortable, ManifestEntry } from '../core/block-source.ts'
import { toV1 } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { matches } from '../core/verify.ts'
import { MIB } from '../core/units.ts'
import type { BlockIndex } from './block-index.ts'
import { loadSections, locate, type Located } from './block-loader.ts'
import type { BlockReader, GetOptions, StoredRoot, StoreSpace } from './contract.ts'
import { diskSpace } from './disk-guard.ts'
import { readManifest } from './manifest.ts'
import { ReadBuffer } from './read-buffer.ts'
import type { BlockRow } from './rows.ts'
import { headBytesOf, writeHead } from './section.ts'
import type { SegmentFiles } from './segment-files.ts'

/** Blocks that are looked up ahead of one chunk of sections. */
const MAX_CHUNK_BLOCKS = 512
/** A block that is moved again whenever it is read stands for a bug, not for bad luck. */
const MAX_TRIES = 5

export interface ReadsOptions {
  folder: string
  index: BlockIndex
  segments: SegmentFiles
  refusal: () => string | undefined
  /** Told of a block whose bytes at that place do not match. */
  onCorrupt: (cid: CID, row: BlockRow) => Promise<void>
}

/** Everything that is read from a store, by its writer and by other processes. */
export class BlockReads implements Omit<BlockReader, typeof Symbol.asyncDispose> {
  readonly #options: ReadsOptions

  constructor(options: ReadsOptions) {
    this.#options = options
  }

  has(cid: CID): boolean {
    return locate(this.#options.index, cid) !== undefined
  }

  sizeOf(cid: CID): number | undefined {
    return locate(this.#options.index, cid)?.length
  }

  countOf(cid: CID): number {
    return locate(this.#options.index, cid)?.refs ?? 0
  }

  async get(cid: CID, options: GetOptions = {}): Promise<Uint8Array | undefined> {
    const { index, segments } = this.#options
    let before: BlockRow | undefined
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      options.signal?.throwIfAborted()
      const row = locate(index, cid)
      if (row === undefined) return undefined
      if (before?.segment === row.segment && before.offset === row.offset) break
      const bytes = options.buffers?.take(row.length) ?? ownBuffer(row.length)
      const found = await segments.read(row.segment, row.offset + row.headBytes, bytes)
      if (found && matches(cid, bytes)) return bytes
      // Compaction may have moved the block and deleted the file since the row was read.
      index.refresh()
      before = row
    }
    if (before !== undefined) await this.#options.onCorrupt(cid, before)
    throw new HoldfastError('CORRUPT_BLOCK', `The stored bytes of block ${cid.toString()} do not match it.`)
  }

  root(cid: CID): StoredRoot | undefined {
    const v1 = toV1(cid)
    const row = this.#options.index.root(v1.bytes)
    return row === undefined ? undefined : { cid: v1, blocks: row.blocks, bytes: row.bytes }
  }

  *roots(after?: CID): Generator<StoredRoot> {
    let last: Buffer | undefined = after === undefined ? undefined : Buffer.from(toV1(after).bytes)
    for (;;) {
      const page = this.#options.index.rootsAfter(last, 256)
      for (const { key, row } of page) yield { cid: CID.decode(key), blocks: row.blocks, bytes: row.bytes }
      last = page.at(-1)?.key
      if (last === undefined) return
    }
  }

  *manifest(root: CID, from = 0, to = Number.POSITIVE_INFINITY): Generator<ManifestEntry> {
    const row = this.#options.index.root(toV1(root).bytes)
    if (row !== undefined) yield* readManifest(this.#options.index, row.serial, from, to)
  }

  async *sections(
    cids: Iterable<CID>,
    options: Abortable & { chunkBytes?: number } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let ahead: Promise<Uint8Array> | undefined
    // One holds the chunk that the consumer has, the other the one that is read ahead.
    let [room, otherRoom] = [new ReadBuffer(), new ReadBuffer()]
    for (const located of this.#chunksOf(cids, options.chunkBytes ?? MIB)) {
      options.signal?.throwIfAborted()
      const next = this.#load(located, room, options)
      // Its failure is told when its turn comes, or never when the consumer has gone.
      next.catch(() => undefined)
      if (ahead !== undefined) yield await ahead
      ahead = next
      ;[room, otherRoom] = [otherRoom, room]
    }
    if (ahead !== undefined) yield await ahead
  }

  *#chunksOf(cids: Iterable<CID>, chunkBytes: number): Generator<(Located | CID)[]> {
    let chunk: (Located | CID)[] = []
    let bytes = 0
    for (const cid of cids) {
      const row = locate(this.#options.index, cid)
      const size = row?.length ?? 0
      if (chunk.length > 0 && (bytes + size > chunkBytes || chunk.length === MAX_CHUNK_BLOCKS)) {
        yield chunk
        chunk = []
        bytes = 0
      }
      chunk.push(row === undefined ? cid : { cid, row })
      bytes += size
    }
    if (chunk.length > 0) yield chunk
  }

  async #load(chunk: readonly (Located | CID)[], room: ReadBuffer, options: Abortable): Promise<Uint8Array> {
    const located = chunk.filter((item): item is Located => 'row' in item)
    const { sections, buffer, verbatim } = await loadSections(this.#options.segments, located, room)
    if (verbatim && located.length === chunk.length) return buffer
    const pieces: Uint8Array[] = []
    let next = 0
    for (const item of chunk) {
      const section = 'row' in item ? sections[next++] : undefined
      pieces.push(section ?? (await this.#section('row' in item ? item.cid : item, options)))
    }
    return Buffer.concat(pieces)
  }

  /** One section by the way of `get`, which looks again and knows what to do with a corrupt block. */
  async #section(cid: CID, options: Abortable): Promise<Uint8Array> {
    const bytes = await this.get(cid, options)
    if (bytes === undefined) throw new HoldfastError('BLOCK_MISSING', `Block ${cid.toString()} is not stored.`)
    const section = Buffer.allocUnsafe(headBytesOf(cid.bytes, bytes.length) + bytes.length)
    section.set(bytes, writeHead(section, 0, cid.bytes, bytes.length))
    return section
  }

  space(): StoreSpace {
    const { blocks, storedBytes } = this.#options.index.state()
    return { ...diskSpace(this.#options.folder), storedBytes, blocks, refusal: this.#options.refusal() }
  }
}

function ownBuffer(length: number): Buffer {
  return length < Buffer.poolSize >>> 1 ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(length)
}
