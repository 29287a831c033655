import { KIB } from '../core/units.ts'

/** A piece of a file, of the size that its profile cuts, unless it is the last. */
export interface Chunk {
  /** Good until the next chunk is asked for. */
  bytes: Uint8Array
  isLast: boolean
}

const FIRST_BYTES = 64 * KIB

/**
 * Cuts streams into chunks in one buffer, which is used again for each. New memory for each chunk would be most of what
 * an upload takes, as it is given back only now and then.
 */
export class Chunker {
  readonly #chunkBytes: number
  /** Grows to a whole chunk, so that a small file never takes so much. */
  #buffer: Uint8Array = new Uint8Array(0)
  #used = 0

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes
  }

  /** The chunks of one stream; one stream is read after the other. An empty one has one empty chunk. */
  async *cut(content: AsyncIterable<Uint8Array>): AsyncGenerator<Chunk> {
    this.#used = 0
    for await (const piece of content) {
      for (let at = 0; at < piece.length;) {
        // A full chunk waits for more, so that the last one is known as such.
        if (this.#used === this.#chunkBytes) {
          yield { bytes: this.#filled(), isLast: false }
          this.#used = 0
        }
        at += this.#append(piece.subarray(at))
      }
    }
    yield { bytes: this.#filled(), isLast: true }
  }

  #filled(): Uint8Array {
    return this.#buffer.subarray(0, this.#used)
  }

  /** Answers how many bytes there was room for. */
  #append(piece: Uint8Array): number {
    const count = Math.min(piece.length, this.#chunkBytes - this.#used)
    if (this.#used + count > this.#buffer.length) this.#grow(this.#used + count)
    this.#buffer.set(count === piece.length ? piece : piece.subarray(0, count), this.#used)
    this.#used += count
    return count
  }

  #grow(bytes: number): void {
    const length = Math.min(this.#chunkBytes, Math.max(bytes, this.#buffer.length * 4, FIRST_BYTES))
    const larger = Buffer.allocUnsafeSlow(length)
    larger.set(this.#filled())
    this.#buffer = larger
  }
}
