import { readdir, stat, unlink } from 'node:fs/promises'
import { systemCode } from './disk-errors.ts'
import { closeFile, openFile, readAt, syncFolder } from './file-io.ts'
import { segmentFile, segmentFolder, segmentOfName } from './layout.ts'

interface OpenSegment {
  fd: Promise<number>
  readers: number
  /** To be closed by its last reader. */
  dropped: boolean
}

/** Segment files that are held open at once. */
const MAX_OPEN = 64

/** The segment files of a store as they are read; the least recently used are closed. */
export class SegmentFiles {
  readonly #folder: string
  /** In the order of use. */
  readonly #open = new Map<number, OpenSegment>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * Fills `target` from the segment at `offset`. False when the file is gone, ends before, or cannot be read: the
   * caller looks again where the block is now.
   */
  async read(segment: number, offset: number, target: Uint8Array): Promise<boolean> {
    const entry = this.#use(segment)
    entry.readers += 1
    try {
      return (await readAt(await entry.fd, target, offset)) === target.length
    } catch (error) {
      this.drop(segment)
      if (!UNREADABLE.has(systemCode(error))) throw error
      return false
    } finally {
      entry.readers -= 1
      if (entry.dropped && entry.readers === 0) closeQuietly(entry)
    }
  }

  #use(segment: number): OpenSegment {
    const entry = this.#open.get(segment) ?? {
      fd: openFile(segmentFile(this.#folder, segment), 'r'),
      readers: 0,
      dropped: false,
    }
    this.#open.delete(segment)
    this.#open.set(segment, entry)
    const oldest = this.#open.keys().next().value
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.drop(oldest)
    return entry
  }

  /** Forgets a segment's descriptor once nobody reads by it. */
  drop(segment: number): void {
    const entry = this.#open.get(segment)
    if (entry === undefined) return
    this.#open.delete(segment)
    entry.dropped = true
    if (entry.readers === 0) closeQuietly(entry)
  }

  /** Forgets segments that are no longer part of the store, so that their space is given back. */
  keepOnly(exists: (segment: number) => boolean): void {
    for (const segment of this.#open.keys()) if (!exists(segment)) this.drop(segment)
  }

  async sizeOf(segment: number): Promise<number> {
    return (await stat(segmentFile(this.#folder, segment))).size
  }

  /** Numbers of the segment files in the folder, ascending. */
  async list(): Promise<number[]> {
    const names = await readdir(segmentFolder(this.#folder))
    return names.flatMap((name) => segmentOfName(name) ?? []).sort((a, b) => a - b)
  }

  /** Deletes a segment's file. Reads under way still end well, as the file lives on until it is closed. */
  async remove(segment: number): Promise<void> {
    this.drop(segment)
    await unlink(segmentFile(this.#folder, segment))
    await syncFolder(segmentFolder(this.#folder))
  }

  close(): void {
    this.keepOnly(() => false)
  }
}

const UNREADABLE = new Set(['ENOENT', 'EIO', 'EBADMSG', 'EUCLEAN'])

function closeQuietly(entry: OpenSegment): void {
  entry.fd.then(closeFile).catch(() => undefined)
}
