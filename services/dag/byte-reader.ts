/**
 * Reads a stream of chunks in pieces of the sizes that a format asks for. A piece inside one chunk is a view of it;
 * only pieces across chunks are copied, once. It holds what is asked for and the rest of one chunk.
 */
export class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>
  #chunks: Uint8Array[] = []
  #available = 0
  #ended = false
  #position = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]()
  }

  /** Bytes taken or skipped so far. */
  get position(): number {
    return this.#position
  }

  /** Bytes that can be taken without waiting. */
  get available(): number {
    return this.#available
  }

  /** Waits until `length` bytes can be taken; false when the stream ends before. */
  async fill(length: number): Promise<boolean> {
    while (this.#available < length && !this.#ended) {
      const { done, value } = await this.#iterator.next()
      if (done === true) this.#ended = true
      else if (value.length > 0) {
        this.#chunks.push(value)
        this.#available += value.length
      }
    }
    return this.#available >= length
  }

  /** The next bytes that are there, at most `length`, without taking them. */
  peek(length: number): Uint8Array {
    const wanted = Math.min(length, this.#available)
    const first = this.#chunks[0]
    return first !== undefined && first.length >= wanted ? first.subarray(0, wanted) : this.#join(wanted)
  }

  /** Takes bytes that {@link fill} said are there. */
  take(length: number): Uint8Array {
    const piece = this.peek(length)
    this.#drop(length)
    return piece
  }

  /** Lets bytes pass without holding them; false when the stream ends before. */
  async skip(length: number): Promise<boolean> {
    let left = length
    while (left > 0) {
      if (!(await this.fill(1))) return false
      const step = Math.min(left, this.#available)
      this.#drop(step)
      left -= step
    }
    return true
  }

  /** Tells the source that nothing more is read. */
  async close(): Promise<void> {
    this.#chunks = []
    this.#available = 0
    if (!this.#ended) await this.#iterator.return?.()
    this.#ended = true
  }

  #join(length: number): Uint8Array {
    const joined = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    let offset = 0
    for (const chunk of this.#chunks) {
      if (offset === length) break
      const part = chunk.subarray(0, length - offset)
      joined.set(part, offset)
      offset += part.length
    }
    return joined
  }

  #drop(length: number): void {
    let left = length
    let whole = 0
    for (const chunk of this.#chunks) {
      if (chunk.length > left) break
      left -= chunk.length
      whole += 1
    }
    if (whole > 0) this.#chunks.splice(0, whole)
    if (left > 0) this.#chunks[0] = (this.#chunks[0] as Uint8Array).subarray(left)
    this.#available -= length
    this.#position += length
  }
}
