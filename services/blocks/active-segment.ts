import { closeFile, openFile, syncFile, syncFolder, truncateFile, writeAt } from './file-io.ts'
import { segmentFile, segmentFolder } from './layout.ts'

/**
 * The segment that is written. It only ever grows by whole, synced writes: what fails is cut off, or left behind in a
 * segment that takes no more.
 */
export class ActiveSegment {
  readonly #folder: string
  readonly #segmentBytes: number
  #number: number
  #fd: number | undefined
  /** End of what has been written and synced. */
  #end: number

  /** Goes on after `last`: the store's last segment (0 for none) and the end of its records, infinite when sealed. */
  constructor(folder: string, segmentBytes: number, last: { segment: number; end: number }) {
    this.#folder = folder
    this.#segmentBytes = segmentBytes
    this.#number = last.segment
    this.#end = last.end
  }

  get number(): number {
    return this.#number
  }

  get end(): number {
    return this.#end
  }

  /** Whether that segment takes no more records, for good. */
  isSealed(segment: number): boolean {
    return segment < this.#number || (segment === this.#number && !Number.isFinite(this.#end))
  }

  /** Takes no more writes into the present file. */
  async seal(): Promise<void> {
    const fd = this.#fd
    this.#fd = undefined
    this.#end = Number.POSITIVE_INFINITY
    if (fd !== undefined) await closeFile(fd)
  }

  /**
   * Appends the buffers one after another and makes them durable. Answers where each starts.
   * A group of buffers is never torn across segments, so the last may exceed the segment's nominal size.
   */
  async append(buffers: readonly Uint8Array[]): Promise<{ segment: number; offsets: number[] }> {
    if (this.#number === 0 || this.#end >= this.#segmentBytes) await this.#next()
    this.#fd ??= await openFile(segmentFile(this.#folder, this.#number), 'r+')
    const offsets: number[] = []
    let at = this.#end
    try {
      for (const buffer of buffers) {
        await writeAt(this.#fd, buffer, at)
        offsets.push(at)
        at += buffer.length
      }
    } catch (error) {
      await this.#cutOff(this.#fd)
      throw error
    }
    try {
      await syncFile(this.#fd)
    } catch (error) {
      // After a failed sync the kernel may drop the pages and report success next time: this file is not trusted again.
      await this.#cutOff(this.#fd)
      await this.seal()
      throw error
    }
    this.#end = at
    return { segment: this.#number, offsets }
  }

  async #next(): Promise<void> {
    await this.seal()
    const segment = this.#number + 1
    const fd = await openFile(segmentFile(this.#folder, segment), 'wx+')
    this.#number = segment
    this.#fd = fd
    this.#end = 0
    await syncFolder(segmentFolder(this.#folder))
  }

  /** Removes a torn tail; where even that fails, the file takes no more writes. */
  async #cutOff(fd: number): Promise<void> {
    try {
      await truncateFile(fd, this.#end)
    } catch {
      await this.seal()
    }
  }

  async close(): Promise<void> {
    await this.seal()
  }
}
