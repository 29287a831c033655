import { closeFile, openFile, syncFile, syncFolder, truncateFile, writeAt } from './file-io.ts'
import { segmentFile, segmentFolder } from './layout.ts'

/**
 * The segment that is written. It only ever grows by whole writes, which are synced together: what fails is cut off, or
 * left behind in a segment that takes no more.
 */
export class ActiveSegment {
  readonly #folder: string
  readonly #segmentBytes: number
  #number: number
  #fd: number | undefined
  /** End of what has been written. */
  #end: number
  /** End of what has been synced. */
  #synced: number
  #appending: Promise<void> | undefined

  /** Goes on after `last`: the store's last segment (0 for none) and the end of its records, infinite when sealed. */
  constructor(folder: string, segmentBytes: number, last: { segment: number; end: number }) {
    this.#folder = folder
    this.#segmentBytes = segmentBytes
    this.#number = last.segment
    this.#end = last.end
    this.#synced = last.end
  }

  get number(): number {
    return this.#number
  }

  get end(): number {
    return this.#end
  }

  /** The next write goes to a new segment: all writes must be synced by then. */
  get isFull(): boolean {
    return this.#number === 0 || this.#end >= this.#segmentBytes
  }

  /** Whether that segment takes no more records, for good. */
  isSealed(segment: number): boolean {
    return segment < this.#number || (segment === this.#number && !Number.isFinite(this.#end))
  }

  /** Takes no more writes into the present file, of which all are synced. */
  async seal(): Promise<void> {
    const fd = this.#fd
    this.#giveUp()
    if (fd !== undefined) await closeFile(fd)
  }

  #giveUp(): void {
    this.#fd = undefined
    this.#end = Number.POSITIVE_INFINITY
    this.#synced = Number.POSITIVE_INFINITY
  }

  /**
   * Appends the buffers one after another, one call at a time. Answers where each starts; durable once `sync`, begun
   * after that, has resolved. All go into one segment, so the last may exceed its nominal size.
   */
  async append(buffers: readonly Uint8Array[]): Promise<{ segment: number; offsets: number[] }> {
    if (this.isFull) await this.#next()
    const fd = (this.#fd ??= await openFile(segmentFile(this.#folder, this.#number), 'r+'))
    const appending = Promise.withResolvers<void>()
    this.#appending = appending.promise
    const offsets: number[] = []
    let at = this.#end
    try {
      for (const buffer of buffers) {
        await writeAt(fd, buffer, at)
        offsets.push(at)
        at += buffer.length
      }
      if (this.#fd !== fd) throw new Error('an earlier write could not be synced')
    } catch (error) {
      if (this.#fd === fd && !(await truncated(fd, this.#end))) this.#end = Number.POSITIVE_INFINITY
      throw error
    } finally {
      appending.resolve()
      this.#appending = undefined
    }
    this.#end = at
    return { segment: this.#number, offsets }
  }

  /**
   * Makes durable what was appended before the call. One call at a time.
   * @throws the failure of the disk: then nothing is kept of what was appended since the last sync that succeeded
   */
  async sync(): Promise<void> {
    const fd = this.#fd
    const end = this.#end
    if (fd === undefined) return
    try {
      await syncFile(fd)
      this.#synced = end
    } catch (error) {
      // The kernel may drop the pages and report success next time: this file is not trusted again.
      const synced = this.#synced
      this.#giveUp()
      await this.#appending
      await truncated(fd, synced)
      await closeFile(fd)
      throw error
    }
  }

  async #next(): Promise<void> {
    await this.seal()
    const segment = this.#number + 1
    const fd = await openFile(segmentFile(this.#folder, segment), 'wx+')
    this.#number = segment
    this.#fd = fd
    this.#end = 0
    this.#synced = 0
    await syncFolder(segmentFolder(this.#folder))
  }

  async close(): Promise<void> {
    await this.seal()
  }
}

/** Removes a torn tail. False where even that fails: then the file takes no more writes. */
async function truncated(fd: number, end: number): Promise<boolean> {
  try {
    await truncateFile(fd, end)
    return true
  } catch {
    return false
  }
}
