import { unixfs, type AddOptions, type UnixFS } from '@helia/unixfs'
import type { CID } from 'multiformats/cid'
import type { BlockSink } from '../core/block-source.ts'
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
 * Turns streams into files, one after the other: by `@helia/unixfs`, with one import for each file, so that its read-ahead
 * over several files cannot wait for content that comes only behind the one being read.
 */
export class FileImporter {
  readonly #unixfs: UnixFS
  readonly #options: AddOptions
  readonly #signal: AbortSignal | undefined

  constructor(sink: BlockSink, record: ImportRecord, profile: Profile, signal?: AbortSignal) {
    this.#unixfs = unixfs({ blockstore: new RecordingBlockstore(sink, record) })
    this.#options = importOptions(profile)
    this.#signal = signal
  }

  async add(content: AsyncIterable<Uint8Array>): Promise<ImportedFile> {
    const counted = new CountedContent(content, this.#signal)
    let imported: ImportedFile | undefined
    for await (const { cid, size } of this.#unixfs.addAll([{ content: counted.read() }], { ...this.#options })) {
      imported = { cid, size: counted.bytes, tsize: Number(size) }
    }
    return imported as ImportedFile
  }
}

class CountedContent {
  bytes = 0
  readonly #content: AsyncIterable<Uint8Array>
  readonly #signal: AbortSignal | undefined

  constructor(content: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
    this.#content = content
    this.#signal = signal
  }

  async *read(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#content) {
      this.#signal?.throwIfAborted()
      this.bytes += chunk.length
      yield chunk
    }
  }
}
