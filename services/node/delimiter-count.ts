/**
 * Counts the delimiters of a multipart body (RFC 2046: CRLF, two dashes, the boundary), which never occur inside its
 * parts. The parser passes over some malformed parts in silence; by their number they are noticed.
 */
export class DelimiterCount {
  readonly #delimiter: Buffer
  /** The end of what was scanned: a delimiter may go on in the next chunk. The first may lack the line break. */
  #tail: Buffer = Buffer.from('\r\n')
  #count = 0
  #isClosed = false

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  }

  /** Parts that were begun. */
  get parts(): number {
    return this.#isClosed ? this.#count - 1 : this.#count
  }

  /** Whether the last delimiter, with two dashes behind it, was there. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  scan(chunk: Uint8Array): void {
    const bytes = Buffer.concat([this.#tail, chunk])
    const length = this.#delimiter.length
    let done = 0
    for (;;) {
      const at = bytes.indexOf(this.#delimiter, done)
      // The two characters behind a delimiter tell whether it is the last one.
      if (at < 0 || at + length + 2 > bytes.length) {
        done = at < 0 ? Math.max(done, bytes.length - length + 1) : at
        break
      }
      done = at + length
      if (this.#isClosed) continue
      this.#count += 1
      this.#isClosed = bytes.toString('latin1', done, done + 2) === '--'
    }
    this.#tail = bytes.subarray(done)
  }
}
