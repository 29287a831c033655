import type { CID } from 'multiformats/cid'
import type { UsedBuffers } from '../core/used-buffers.ts'
import type { Abortable, BlockSink, BlockSource, ManifestEntry } from '../core/block-source.ts'

/** A DAG that the store holds whole, with the figures of its distinct blocks. */
export interface StoredRoot {
  /** Version 1. */
  cid: CID
  blocks: number
  /** Bytes of the distinct blocks, without CIDs. */
  bytes: number
}

/** How a store is opened by its writing process. */
export interface StoreOptions {
  /** Size from which a segment file takes no more blocks. Default 512 MiB. */
  segmentBytes?: number
  /**
   * Free space below which `openBatch` refuses; writes of batches that are open already are refused below half of it,
   * so that the index can always be written and collection can run. Default 2 % of the disk, at most 1 GiB.
   */
  reserveBytes?: number
  /** How often a store that refuses writes tries the disk again. Default 1 s. */
  probeMs?: number
  /** Told of each block that was quarantined, by `get`, `sections` or `verifyRoot`: its roots are not whole any more. */
  onQuarantine?: (cid: CID) => void
}

/** What the disk under the store can take. */
export interface StoreSpace {
  capacityBytes: number
  freeBytes: number
  /** Bytes of live records in segments. */
  storedBytes: number
  blocks: number
  /** Why new writes are refused (disk full, read-only, I/O error); undefined while they are taken. */
  refusal: string | undefined
}

export interface RootCheck {
  blocks: number
  bytes: number
  /** Blocks whose index entry is gone or whose bytes on disk do not match their CID; these are quarantined. */
  bad: CID[]
}

export interface GetOptions extends Abortable {
  buffers?: UsedBuffers
}

/** The store as other processes open it: read only, beside the process that writes. */
export interface BlockReader extends BlockSource, AsyncDisposable {
  has(cid: CID): boolean
  /** Bytes of the block without reading it; undefined when the store does not have it. */
  sizeOf(cid: CID): number | undefined
  /** How many roots that are held have the block; 0 when the store does not have it. */
  countOf(cid: CID): number
  /**
   * The block, hashed against its CID.
   * @throws CORRUPT_BLOCK when what the disk gave back does not match; the writer quarantines such a block, so that
   *   it is missing afterwards and can be fetched again
   * @param options.buffers where the buffer of a large block is taken from; it is the caller's
   */
  get(cid: CID, options?: GetOptions): Promise<Uint8Array | undefined>
  root(cid: CID): StoredRoot | undefined
  /** Roots in the order of their CID bytes, those after `after`. */
  roots(after?: CID): Iterable<StoredRoot>
  /** Entries [from, to) of a root's manifest; nothing when the root is not held. */
  manifest(root: CID, from?: number, to?: number): Iterable<ManifestEntry>
  /**
   * The blocks as CAR sections (varint length, CID, bytes), in the order asked for, joined to chunks of about
   * `chunkBytes`; each block is verified before it leaves. A chunk is good until the next one is asked for.
   * @throws BLOCK_MISSING, CORRUPT_BLOCK
   */
  sections(cids: Iterable<CID>, options?: Abortable & { chunkBytes?: number }): AsyncIterable<Uint8Array>
  space(): StoreSpace
}

/** The store as its one writing process has it. */
export interface BlockStore extends BlockReader {
  /** @throws STORAGE_FULL, STORAGE_FAILED while writes are refused */
  openBatch(): BlockBatch
  /** Counts the root's blocks down and forgets its manifest. Harmless when the root is not held. Answers whether it was. */
  releaseRoot(root: CID): Promise<boolean>
  /** Re-reads and hashes every block of the root from disk. `undefined` when the root is not held. */
  verifyRoot(root: CID, options?: Abortable & { onProgress?: (bytes: number) => void }): Promise<RootCheck | undefined>
  /** Roots that count a block which is quarantined and was not put again since. Looks through the index alone. */
  damagedRoots(options?: Abortable): Promise<CID[]>
  /**
   * Gives back the space of blocks that no root counts, no open batch has touched, and that were written or last
   * touched at least `graceMs` ago. A release that leaves a block uncounted is such a touch. Only the time during which
   * the store was open counts, by the monotonic clock. Reads go on meanwhile.
   */
  collect(options: Abortable & { graceMs: number }): Promise<{ blocks: number; bytes: number }>
}

/**
 * A group of writes: one upload, one replication. While a batch is open nothing it put, or asked for by `has`, is
 * collected. Disposing it without `commitRoot` leaves its blocks uncounted: they stay for the grace time, so that an
 * interrupted copy resumes, and then go.
 */
export interface BlockBatch extends BlockSink, AsyncDisposable {
  /** Writes what is buffered and waits until every block put so far is on disk (fdatasync) and in the index. */
  flush(): Promise<void>
  /**
   * Flushes, then records the manifest and counts its blocks, durably, all or nothing (also across `kill -9`).
   * Repeating it for a root that is held is harmless.
   * @throws BLOCK_MISSING when an entry's block is not stored
   */
  commitRoot(root: CID, entries: Iterable<ManifestEntry> | AsyncIterable<ManifestEntry>): Promise<StoredRoot>
}
