import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { HoldfastError } from '../core/errors.ts'
import { KIB } from '../core/units.ts'
import type { DirectoryItem } from '../dag/add-directory.ts'
import { DelimiterCount } from './delimiter-count.ts'

/** Files and folders of one form. */
const MAX_PARTS = 65_536
const MAX_PART_HEADER_BYTES = 16 * KIB
/** RFC 2046: boundaries are no longer than 70 characters. */
const MAX_BOUNDARY = 70

/**
 * The files of a `multipart/form-data` body as they stream in: each part's filename is a path, percent-encoded or plain;
 * a part of type `application/x-directory` is an (empty) directory. The body is read only as fast as items are taken.
 * @throws BAD_REQUEST when it is no such form, ends early, has a part that is no file, or more than `maxParts` parts
 */
export async function* readForm(
  body: AsyncIterable<Uint8Array>,
  { contentType, maxParts = MAX_PARTS }: { contentType: string; maxParts?: number | undefined },
): AsyncGenerator<DirectoryItem> {
  const form = new FormReader(body, contentType, maxParts)
  try {
    yield* form.items()
  } finally {
    form.close()
  }
}

interface Part {
  filename: string
  type: string
  content: Readable
}

class FormReader {
  readonly #busboy: BusboyInstance
  readonly #delimiters: DelimiterCount
  readonly #parts: Part[] = []
  /** The content that is being read. */
  #current: Readable | undefined
  #seen = 0
  #ended = false
  #closed = false
  #failure: Error | undefined
  #wake: () => void = () => {}

  constructor(body: AsyncIterable<Uint8Array>, contentType: string, maxParts: number) {
    this.#delimiters = new DelimiterCount(boundaryOf(contentType))
    this.#busboy = openBusboy(contentType, maxParts)
    this.#busboy.on('file', (field: string | undefined, content, filename: string | undefined, _, type) => {
      this.#onFile(field, { filename: filename ?? '', type, content })
    })
    this.#busboy.on('field', (field) => this.#fail(bad(`the field ${JSON.stringify(field)} is no file`)))
    this.#busboy.on('partsLimit', () => this.#fail(bad(`it has more than ${maxParts} parts`)))
    this.#busboy.on('error', (cause) => this.#fail(bad('it ends early or is malformed', cause)))
    void this.#pump(body).catch((error: unknown) => this.#fail(error))
  }

  async *items(): AsyncGenerator<DirectoryItem> {
    for (let part = await this.#next(); part !== undefined; part = await this.#next()) yield this.#itemOf(part)
  }

  close(): void {
    this.#closed = true
    this.#destroy()
  }

  #onFile(field: string | undefined, part: Part): void {
    this.#seen += 1
    // Whoever reads the part hears of its errors by the form's failure.
    part.content.on('error', () => {})
    if (field === undefined || part.filename === '') this.#fail(bad('each part needs a name and a filename'))
    else if (!isTakenType(part.type)) this.#fail(bad(`parts of type ${part.type.slice(0, 100)} are not taken`))
    this.#parts.push(part)
    this.#wake()
  }

  #itemOf({ filename, type, content }: Part): DirectoryItem {
    const path = decodeName(filename)
    if (type !== DIRECTORY_TYPE) return { path, content: this.#contentOf(content) }
    content.resume()
    return { path }
  }

  /** A failure of the form ends the content that is being read, however much of it is buffered. */
  async *#contentOf(content: Readable): AsyncGenerator<Uint8Array> {
    this.#current = content
    try {
      for await (const chunk of content as AsyncIterable<Uint8Array>) {
        if (this.#failure !== undefined) throw this.#failure
        yield chunk
      }
    } catch (error) {
      throw this.#failure ?? error
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  async #next(): Promise<Part | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      const part = this.#parts.shift()
      if (part !== undefined || this.#ended) return part
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #pump(body: AsyncIterable<Uint8Array>): Promise<void> {
    const finished = once(this.#busboy, 'finish')
    finished.catch(() => {})
    for await (const chunk of body) {
      if (this.#closed || this.#failure !== undefined) return
      this.#delimiters.scan(chunk)
      if (!this.#busboy.write(chunk)) await this.#drained()
    }
    if (!this.#delimiters.isClosed) throw bad('it ends before its last boundary')
    this.#busboy.end()
    await finished
    // Parts that the parser passes over in silence are no files: they have no disposition, or one of another kind.
    if (this.#delimiters.parts !== this.#seen) throw bad('each part needs a name and a filename')
    this.#ended = true
    this.#wake()
  }

  async #drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#busboy.once('drain', resolve).once('close', resolve)
    await promise
    this.#busboy.off('drain', resolve).off('close', resolve)
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error('the form failed', { cause: error })
    this.#destroy()
  }

  #destroy(): void {
    this.#busboy.destroy()
    this.#current?.destroy()
    for (const { content } of this.#parts) content.destroy()
    this.#wake()
  }
}

const DIRECTORY_TYPE = 'application/x-directory'

/** Links would point out of the upload; forms inside forms are not read. */
function isTakenType(type: string): boolean {
  return type !== 'application/symlink' && !type.startsWith('multipart/')
}

function openBusboy(contentType: string, maxParts: number): BusboyInstance {
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      preservePath: true,
      limits: { parts: maxParts, headerSize: MAX_PART_HEADER_BYTES, headerPairs: 32, fieldSize: KIB, fields: 1 },
    })
  } catch (cause) {
    throw bad('its content type is malformed', cause)
  }
}

function boundaryOf(contentType: string): string {
  if (!/^multipart\/form-data\s*;/i.test(contentType)) throw bad('its content type is not multipart/form-data')
  const match = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined || boundary.length > MAX_BOUNDARY) throw bad('it has no boundary of 1 to 70 characters')
  return boundary
}

/** Kubo and our own client percent-encode filenames; browsers do not, and then the name says no valid encoding or itself. */
function decodeName(filename: string): string {
  try {
    return decodeURIComponent(filename)
  } catch {
    return filename
  }
}

function bad(reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError('BAD_REQUEST', `The form cannot be taken: ${reason}.`, { cause })
}
