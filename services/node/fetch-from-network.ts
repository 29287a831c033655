import type { CID } from 'multiformats/cid'
import type { BlockStore, StoredRoot } from '../blocks/contract.ts'
import { hasCode } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import type { PeerClient } from '../swarm/client.ts'
import { proveWhole } from '../transfer/prove-whole.ts'
import type { Progress } from '../transfer/replicate.ts'

export interface NetworkFetchOptions {
  root: CID
  /** Multiaddrs that may have it. */
  origins: readonly string[]
  maxBytes: number
  store: BlockStore
  peer: Pick<PeerClient, 'fetch'>
  signal: AbortSignal
  onProgress: (progress: Progress) => void
}

const FLUSH_EVERY_BYTES = 64 * MIB
/** Blocks that the peer process saw in the store can be collected before they are counted; the next try fetches them. */
const MAX_TRIES = 2
/** No other node is asked: the DAG is walked over what the batch and the store have. */
const NOBODY = { block: () => Promise.resolve(undefined) }

/**
 * Gets a DAG from the IPFS network through the peer process, and commits it durably.
 * @throws what the peer's `fetch` throws; UNAVAILABLE while the peer process is down; STORAGE_FULL, STORAGE_FAILED
 */
export async function fetchFromNetwork(options: NetworkFetchOptions): Promise<StoredRoot> {
  const { root, store } = options
  await using batch = store.openBatch()
  for (let tries = 1; ; tries++) {
    await receive(batch, options)
    try {
      const manifest = await proveWhole(batch, { ...options, sources: [], client: NOBODY })
      return await batch.commitRoot(root, manifest)
    } catch (error) {
      if (!hasCode(error, 'BLOCK_MISSING') || tries === MAX_TRIES) throw error
    }
  }
}

async function receive(batch: ReturnType<BlockStore['openBatch']>, options: NetworkFetchOptions): Promise<void> {
  const { root, origins, maxBytes, peer, signal, onProgress } = options
  const progress: Progress = { bytes: 0, blocks: 0 }
  let unflushed = 0
  for await (const { cid, bytes } of peer.fetch(root, { origins: [...origins], maxBytes, signal })) {
    await batch.put(cid, bytes)
    progress.bytes += bytes.length
    progress.blocks += 1
    onProgress(progress)
    unflushed += bytes.length
    if (unflushed < FLUSH_EVERY_BYTES) continue
    unflushed = 0
    await batch.flush()
  }
  await batch.flush()
}
