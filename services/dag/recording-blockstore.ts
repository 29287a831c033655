import { BaseBlockstore } from 'blockstore-core'
import type { CID } from 'multiformats/cid'
import type { BlockSink } from '../core/block-source.ts'
import type { ImportRecord } from './import-record.ts'

/** A sink in the shape that `@helia/unixfs` writes to. Every block is noted; one that is there already is not put again. */
export class RecordingBlockstore extends BaseBlockstore {
  readonly #sink: BlockSink
  readonly #record: ImportRecord

  constructor(sink: BlockSink, record: ImportRecord) {
    super()
    this.#sink = sink
    this.#record = record
  }

  override async put(cid: CID, bytes: Uint8Array): Promise<CID> {
    this.#record.add(cid, bytes)
    if (!this.#sink.has(cid)) await this.#sink.put(cid, bytes)
    return cid
  }
}
