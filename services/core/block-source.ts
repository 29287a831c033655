import type { CID } from 'multiformats/cid'

export interface Abortable {
  signal?: AbortSignal
}

/**
 * Where blocks come from: a store, another node, the network, or a chain of them.
 * What it answers has been verified against the CID. Identity CIDs are never asked for.
 */
export interface BlockSource {
  /** The block's bytes; undefined when this source does not have it. */
  get(cid: CID, options?: Abortable): Promise<Uint8Array | undefined>
  /**
   * Says that these blocks will be asked for, in this order and before those that were said earlier, so that a source far
   * away can get many by one call. It gets them until the signal is aborted, which is also that of the reads.
   */
  expect?(cids: readonly CID[], options: { signal: AbortSignal }): void
}

/**
 * Where new blocks go: a batch of a store. The caller vouches that bytes match the CID.
 * `put` resolves when the sink can take more (back-pressure), not when the block is durable: that is the batch's `flush`.
 * By then it has copied the bytes, which are the caller's again.
 */
export interface BlockSink extends BlockSource {
  put(cid: CID, bytes: Uint8Array): Promise<void>
  /** Whether the block is stored already, so that it need not be sent or written. */
  has(cid: CID): boolean
}

/** One entry of a root's manifest: all blocks of the DAG, each once, in depth-first order, the root first. */
export interface ManifestEntry {
  cid: CID
  /** Bytes of the block, without its CID. */
  length: number
}
