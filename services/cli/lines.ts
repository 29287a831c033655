const NEWLINE = 0x0a

/** A line without its end; of one over the limit nothing is kept. */
export type Line = Buffer | 'too long'

/** Cuts chunks into lines: for each chunk those that it completes, at the end what is left. */
export async function* splitLines(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Line[]> {
  let open = new OpenLine(maxBytes)
  for await (const chunk of chunks) {
    const lines: Line[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      lines.push(open.endWith(chunk.subarray(from, end)))
      open = new OpenLine(maxBytes)
      from = end + 1
    }
    open.add(chunk.subarray(from))
    yield lines
  }
  if (open.sizeBytes > 0) yield [open.endWith(Buffer.alloc(0))]
}

class OpenLine {
  sizeBytes = 0
  #parts: Buffer[] = []
  readonly #maxBytes: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  add(part: Buffer): void {
    if (part.length === 0) return
    this.sizeBytes += part.length
    if (this.sizeBytes > this.#maxBytes) this.#parts = []
    else this.#parts.push(part)
  }

  endWith(part: Buffer): Line {
    this.add(part)
    if (this.sizeBytes > this.#maxBytes) return 'too long'
    const [only = part, ...others] = this.#parts
    return others.length === 0 ? only : Buffer.concat(this.#parts)
  }
}
