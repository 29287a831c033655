import type { CID } from 'multiformats/cid'
import type { Abortable, ManifestEntry } from '../core/block-source.ts'
import { isIdentity, toV1 } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Age } from './age.ts'
import type { BlockIndex } from './block-index.ts'
import type { StoredRoot } from './contract.ts'
import type { IndexWriter } from './index-writer.ts'
import { keyOf, textOf } from './key.ts'
import { appendEntries, CHUNK_ENTRIES } from './manifest.ts'
import { LOST, type BlockRow, type RootRow } from './rows.ts'

interface Parts {
  index: BlockIndex
  writer: IndexWriter
  age: Age
}

type Entries = Iterable<ManifestEntry> | AsyncIterable<ManifestEntry>

/**
 * The roots that a store holds, each with its manifest, and the counts of their blocks.
 *
 * A manifest is counted chunk by chunk under a serial number. While there is more than one chunk, a job row says that
 * the serial is not whole; the transaction that writes the root row deletes it. What a job is left of after a crash, a
 * failure of the disk, or a release, is undone chunk by chunk: a transaction counts a chunk's blocks down and deletes it.
 */
export class Roots {
  readonly #parts: Parts
  /** Serials of commits under way, whose jobs are not to be undone. */
  readonly #committing = new Set<number>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Counts the blocks and records the manifest.
   * @throws BLOCK_MISSING when the bytes of an entry are not in the index
   */
  async commit(root: CID, entries: Entries): Promise<StoredRoot> {
    const cid = toV1(root)
    const held = this.#parts.index.root(cid.bytes)
    if (held !== undefined) return storedRoot(cid, held)
    let first: ManifestEntry[] | undefined
    let figures: RootRow | undefined
    try {
      for await (const slice of slicesOf(entries)) {
        if (first === undefined) {
          first = slice
          continue
        }
        if (figures === undefined) {
          figures = { serial: await this.#begin(), blocks: 0, bytes: 0 }
          await this.#count(figures, first)
        }
        await this.#count(figures, slice)
      }
      if (figures === undefined) return await this.#commitSmall(cid, first ?? [])
      return await this.#end(cid, figures)
    } catch (error) {
      // Where this fails too, the job is left to `resume`.
      if (figures !== undefined) await this.#undo(figures.serial).catch(() => undefined)
      throw error
    } finally {
      if (figures !== undefined) this.#committing.delete(figures.serial)
    }
  }

  #commitSmall(cid: CID, entries: ManifestEntry[]): Promise<StoredRoot> {
    const { index, writer } = this.#parts
    return writer.write(entries.length + 3, () => {
      const held = index.root(cid.bytes)
      if (held !== undefined) return storedRoot(cid, held)
      const row = { serial: index.state().nextSerial, blocks: 0, bytes: 0 }
      countSlice(index, row, entries)
      index.putState({ ...index.state(), nextSerial: row.serial + 1 })
      index.putRoot(cid.bytes, row)
      return storedRoot(cid, row)
    })
  }

  #begin(): Promise<number> {
    const { index, writer } = this.#parts
    return writer.write(2, () => {
      const state = index.state()
      index.putState({ ...state, nextSerial: state.nextSerial + 1 })
      index.putJob(state.nextSerial)
      this.#committing.add(state.nextSerial)
      return state.nextSerial
    })
  }

  #count(figures: RootRow, slice: readonly ManifestEntry[]): Promise<void> {
    const { index, writer } = this.#parts
    return writer.write(slice.length, () => countSlice(index, figures, slice))
  }

  async #end(cid: CID, row: RootRow): Promise<StoredRoot> {
    const { index, writer } = this.#parts
    const stored = await writer.write(3, () => {
      // Another commit of the same root may have ended first.
      const held = index.root(cid.bytes)
      if (held !== undefined) return held
      index.putRoot(cid.bytes, row)
      index.removeJob(row.serial)
      return row
    })
    if (stored !== row) await this.#undo(row.serial)
    return storedRoot(cid, stored)
  }

  /** Forgets the root at once, then counts its blocks down. Answers whether it was held. */
  async release(root: CID): Promise<boolean> {
    const { index, writer } = this.#parts
    const key = toV1(root).bytes
    const serial = await writer.write(2, () => {
      const held = index.root(key)
      if (held === undefined) return undefined
      index.removeRoot(key)
      index.putJob(held.serial)
      return held.serial
    })
    if (serial === undefined) return false
    await this.#undo(serial)
    return true
  }

  /** Undoes what commits and releases left unfinished when the process ended, or the disk failed. */
  async resume(options: Abortable): Promise<void> {
    for (const serial of this.#parts.index.jobs()) {
      if (options.signal?.aborted) return
      if (!this.#committing.has(serial)) await this.#undo(serial, options)
    }
  }

  async #undo(serial: number, options: Abortable = {}): Promise<void> {
    const { index, writer } = this.#parts
    for (let chunk = 0; !options.signal?.aborted; chunk += 1) {
      const more = await writer.write(CHUNK_ENTRIES, () => {
        const undone = uncountChunk(this.#parts, serial, chunk)
        // A crash may have undone the first chunks: the end is where neither this chunk nor a later one exists.
        if (!undone && !index.hasChunkAfter(serial, chunk)) {
          index.removeJob(serial)
          return false
        }
        return true
      })
      if (!more) return
    }
  }
}

function storedRoot(cid: CID, { blocks, bytes }: { blocks: number; bytes: number }): StoredRoot {
  return { cid, blocks, bytes }
}

async function* slicesOf(entries: Entries): AsyncGenerator<ManifestEntry[], void, undefined> {
  let slice: ManifestEntry[] = []
  for await (const entry of entries) {
    // The bytes of an identity CID are in the CID: there is no block to count.
    if (isIdentity(entry.cid)) continue
    slice.push(entry)
    if (slice.length < CHUNK_ENTRIES) continue
    yield slice
    slice = []
  }
  if (slice.length > 0) yield slice
}

/**
 * Counts the blocks up, each once for the root, and appends them to the manifest with the lengths that the index knows.
 * A repeated block is found by the serial that counted it last, which needs no memory; when another root's commit came
 * between, it counts twice in the manifest, and is counted down twice.
 */
function countSlice(index: BlockIndex, figures: RootRow, entries: readonly ManifestEntry[]): void {
  const counted = new Map<string, { cid: CID; row: BlockRow }>()
  for (const { cid } of entries) {
    const key = keyOf(cid)
    const row = index.block(key)
    if (row === undefined || row.segment === LOST) {
      throw new HoldfastError('BLOCK_MISSING', `Block ${cid.toString()} of the root is not stored.`)
    }
    const text = textOf(key)
    if (row.countedBy !== figures.serial && !counted.has(text)) counted.set(text, { cid, row })
  }
  for (const { cid, row } of counted.values()) {
    index.putBlock(keyOf(cid), { ...row, refs: row.refs + 1, countedBy: figures.serial })
  }
  const appended = [...counted.values()].map(({ cid, row }) => ({ cid, length: row.length }))
  appendEntries(index, figures.serial, figures.blocks, appended)
  figures.blocks += appended.length
  figures.bytes += appended.reduce((sum, { length }) => sum + length, 0)
}

/** Counts a chunk's blocks down and deletes it. A block that nothing counts any more is kept for the grace time. */
function uncountChunk({ index, age }: Parts, serial: number, chunk: number): boolean {
  const entries = index.chunk(serial, chunk)
  if (entries === undefined) return false
  const touchedMs = age.nowMs()
  for (const { cid } of entries) {
    const key = keyOf(cid)
    const row = index.block(key)
    if (row === undefined) continue
    const refs = Math.max(0, row.refs - 1)
    if (refs === 0 && row.segment === LOST) index.removeBlock(key)
    else index.putBlock(key, { ...row, refs, touchedMs: refs === 0 ? touchedMs : row.touchedMs })
  }
  index.removeChunk(serial, chunk)
  index.putState({ ...index.state(), ageMs: touchedMs })
  return true
}
