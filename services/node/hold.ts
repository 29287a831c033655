import type { CID } from 'multiformats/cid'
import type { BlockStore, RootCheck, StoredRoot } from '../blocks/contract.ts'
import { HoldfastError, hasCode, type ErrorCode } from '../core/errors.ts'
import type { PeerClient } from '../swarm/client.ts'
import type { TransferClient } from '../transfer/client.ts'
import { replicate, type Progress } from '../transfer/replicate.ts'
import { fetchFromNetwork } from './fetch-from-network.ts'

export interface HoldOptions {
  root: CID
  /** Names of nodes that hold it, the best first. Empty: from the network. */
  sources: readonly string[]
  /** Multiaddrs that may have it. */
  origins: readonly string[]
  maxBytes: number
  store: BlockStore
  client: TransferClient
  peer: Pick<PeerClient, 'fetch'>
  signal: AbortSignal
  onProgress: (phase: HoldPhase, progress: Progress) => void
  /** Told when the root is whole and durable, before it is verified. */
  onStored: (stored: StoredRoot) => void
}

type HoldPhase = 'copying' | 'fetching' | 'verifying'

/** Bad blocks are quarantined when they are found, and fetched anew; a disk that spoils them again is given up. */
const MAX_ROUNDS = 3

/**
 * Has a whole DAG on this disk, durable, and reads all of it back. What is there already is only read back.
 * @throws what `replicate` and {@link fetchFromNetwork} throw; CORRUPT_BLOCK when the disk does not give back what was
 *   written
 */
export async function hold(options: HoldOptions): Promise<RootCheck> {
  const { root, store, onStored, onProgress, signal } = options
  let stored = store.root(root)
  for (let round = 0; round < MAX_ROUNDS; round++) {
    stored ??= await obtain(options)
    if (round === 0) onStored(stored)
    const { blocks } = stored
    const onBytes = (bytes: number): void => onProgress('verifying', { bytes, blocks })
    const check = await store.verifyRoot(root, { signal, onProgress: onBytes })
    if (check?.bad.length === 0) return check
    // Released meanwhile, or spoiled: what is missing now is obtained again.
    stored = undefined
  }
  throw new HoldfastError('CORRUPT_BLOCK', `The disk does not give back what was written of ${root.toString()}.`)
}

async function obtain(options: HoldOptions): Promise<StoredRoot> {
  const { sources, onProgress } = options
  if (sources.length === 0) {
    return await fetchFromNetwork({ ...options, onProgress: (progress) => onProgress('fetching', progress) })
  }
  return await replicate({ ...options, onProgress: (progress) => onProgress('copying', progress) })
}

/** Failures of the content itself: no other source and no later time would help. */
const PERMANENT: readonly ErrorCode[] = [
  'INVALID_CID',
  'HASH_NOT_ALLOWED',
  'UNSUPPORTED_CODEC',
  'MALFORMED_BLOCK',
  'BLOCK_TOO_LARGE',
  'DAG_TOO_DEEP',
  'DAG_TOO_LARGE',
  'CONTENT_DENIED',
  'CONTENT_DENIED_BY_LAW',
]

export function isPermanent(error: unknown): boolean {
  return hasCode(error, ...PERMANENT)
}
