import type { CID } from 'multiformats/cid'
import type { BlockBatch, BlockStore, StoredRoot } from '../blocks/contract.ts'
import type { ManifestEntry } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import type { TransferClient } from './client.ts'
import { fetchRanges } from './fetch-ranges.ts'
import { planRanges } from './plan-ranges.ts'
import { proveWhole } from './prove-whole.ts'

export interface Progress {
  /** Bytes and blocks of the DAG that are here by now, those from an earlier attempt included. */
  bytes: number
  blocks: number
}

export interface ReplicateOptions {
  root: CID
  /** Names of nodes that hold it, the best first. */
  sources: readonly string[]
  store: BlockStore
  client: TransferClient
  maxBytes: number
  signal: AbortSignal
  /** Ranges at once from each source. @default 2 */
  lanesPerSource?: number
  onProgress?: (progress: Progress) => void
}

/** An interrupted copy goes on from the last flush. */
const FLUSH_EVERY_BYTES = 64 * MIB

/**
 * Copies a DAG from nodes that hold it, many at once, and commits it durably. Manifests of others are only a plan of what
 * to fetch: what is committed is what a walk over verified blocks finds. Blocks that are here already are not fetched.
 * @throws UPSTREAM_FAILED, BLOCK_MISSING when the sources do not have all of it (now); DAG_TOO_LARGE (more than
 *   `maxBytes`), DAG_TOO_DEEP, MALFORMED_BLOCK, BLOCK_TOO_LARGE, HASH_NOT_ALLOWED, UNSUPPORTED_CODEC when the content is
 *   not one that we hold; STORAGE_FULL, STORAGE_FAILED; the signal's reason
 */
export async function replicate(options: ReplicateOptions): Promise<StoredRoot> {
  const { root, store } = options
  if (options.sources.length === 0)
    throw new HoldfastError('UPSTREAM_FAILED', `No node is known to hold ${root.toString()}.`)
  await using batch = store.openBatch()
  await fetchPlanned(batch, options)
  await batch.flush()
  const manifest = await proveWhole(batch, options)
  return await batch.commitRoot(root, manifest)
}

/** Fetches what manifests name and this node lacks. */
async function fetchPlanned(batch: BlockBatch, options: ReplicateOptions): Promise<void> {
  const { client, sources, signal, lanesPerSource = 2, maxBytes, onProgress } = options
  const progress: Progress = { bytes: 0, blocks: 0 }
  let fetched = 0
  let unflushed = 0

  function count({ length }: Pick<ManifestEntry, 'length'>): void {
    progress.bytes += length
    progress.blocks += 1
    onProgress?.(progress)
  }

  const ranges = planRanges({
    ...options,
    isHeld: (cid) => batch.has(cid),
    onHeld: count,
    isEnough: () => fetched > maxBytes,
  })
  await fetchRanges(ranges, {
    client,
    sources,
    lanesPerSource,
    signal,
    async take({ cid, bytes }) {
      await batch.put(cid, bytes)
      fetched += bytes.length
      unflushed += bytes.length
      count(bytes)
      if (unflushed < FLUSH_EVERY_BYTES) return
      unflushed = 0
      await batch.flush()
    },
  })
}
