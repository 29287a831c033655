import { unixfs, type AddOptions, type UnixFS } from '@helia/unixfs'
import type { CID } from 'multiformats/cid'
import type { BlockSink } from '../core/block-source.ts'
import { Chunker, type Chunk } from './chunks.ts'
import { writeLeaf } from './file-leaf.ts'
import type { ImportRecord } from './import-record.ts'
import { importOptions, type Profile } from './profile.ts'
import { RecordingBlockstore } from './recording-blockstore.ts'

export interface ImportedFile {
  cid: CID
  /** Bytes of the content. */
  size: number
  /** Bytes of all its blocks, repetitions counted: the Tsize of links to it. */
  tsize: number
}

/**
 * Turns streams into files, one after the other. A file of one chunk is its leaf; larger ones are laid out by
 * `@helia/unixfs`, with one import for each file, so that its read-ahead over several files cannot wait for content that
 * comes only behind the one being read.
 */
export class FileImporter {
  readonly #blocks: RecordingBlockstore
  readonly #unixfs: UnixFS
  readonly #profile: Profile
  readonly #options: AddOptions
  readonly #chunker: Chunker
  readonly #signal: AbortSignal | undefined

  constructor(sink: BlockSink, record: ImportRecord, profile: Profile, signal?: AbortSignal) {
    this.#blocks = new RecordingBlockstore(sink, record)
    this.#unixfs = unixfs({ blockstore: this.#blocks })
    this.#profile = profile
    this.#options = importOptions(profile)
    this.#chunker = new Chunker(profile.chunkBytes)
    this.#signal = signal
  }

  async add(content: AsyncIterable<Uint8Array>): Promise<ImportedFile> {
    let size = 0
    const chunks = this.#chunker.cut(content)
    const first = (await chunks.next()).value as Chunk
    this.#signal?.throwIfAborted()
    if (first.isLast) return await this.#addLeaf(first.bytes)
    const counted = this.#counted(first, chunks, (bytes) => (size += bytes))
    let imported: ImportedFile | undefined
    for await (const file of this.#unixfs.addAll([{ content: counted }], { ...this.#options })) {
      imported = { cid: file.cid, size, tsize: Number(file.size) }
    }
    return imported as ImportedFile
  }

  async #addLeaf(bytes: Uint8Array): Promise<ImportedFile> {
    const size = bytes.length
    const leaf = await writeLeaf(bytes, this.#blocks, this.#profile)
    return { cid: leaf.cid, size, tsize: Number(leaf.size) }
  }

  async *#counted(
    first: Chunk,
    rest: AsyncIterable<Chunk>,
    count: (bytes: number) => void,
  ): AsyncGenerator<Uint8Array> {
    count(first.bytes.length)
    yield first.bytes
    for await (const { bytes } of rest) {
      this.#signal?.throwIfAborted()
      count(bytes.length)
      yield bytes
    }
  }
}
