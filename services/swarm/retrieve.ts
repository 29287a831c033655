import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { checkCid, isIdentity } from '../core/cid.ts'
import { SECOND_MS } from '../core/units.ts'
import { verify } from '../core/verify.ts'
import { fetchDag, type Block } from '../dag/fetch-dag.ts'
import { checkBlockSize } from '../dag/read-block.ts'
import type { DagLimits } from '../dag/walk.ts'
import type { Peer } from './peer.ts'
import { MAX_WINDOW, PeerSource, type PeerSourceOptions } from './peer-source.ts'

export interface RetrieveOptions extends Abortable, DagLimits, Partial<PeerSourceOptions> {}

const DEFAULTS: PeerSourceOptions = { origins: [], stallMs: 60 * SECOND_MS, silenceMs: 10 * SECOND_MS }

/**
 * Fetches a DAG from the IPFS network: yields the blocks that `peer.reader` lacks, each once and verified, parents
 * before children. Slow consumption slows the fetch down, with a bounded number of bytes waiting.
 *
 * @throws what {@link PeerSource} and `fetchDag` throw: NOT_FOUND, TIMED_OUT, BLOCK_MISSING, UPSTREAM_FAILED when it
 *   cannot be had; BLOCK_TOO_LARGE, DAG_TOO_LARGE, DAG_TOO_DEEP, MALFORMED_BLOCK, UNSUPPORTED_CODEC, HASH_NOT_ALLOWED
 *   when it is not one that we hold; the signal's reason
 */
export async function* retrieve(peer: Peer, root: CID, options: RetrieveOptions = {}): AsyncGenerator<Block, void> {
  options.signal?.throwIfAborted()
  using source = new PeerSource(peer, checkCid(root), { ...DEFAULTS, ...options })
  for await (const block of fetchDag(root, source, peer.reader, { ...options, concurrency: MAX_WINDOW })) {
    source.taken(block.bytes.length)
    yield block
  }
}

/**
 * One block, from the reader or else from the network.
 * @throws as {@link retrieve}
 */
export async function retrieveBlock(peer: Peer, cid: CID, options: RetrieveOptions = {}): Promise<Uint8Array> {
  options.signal?.throwIfAborted()
  if (isIdentity(checkCid(cid))) return cid.multihash.digest
  const stored = await peer.reader.get(cid, options)
  if (stored !== undefined) return stored
  using source = new PeerSource(peer, cid, { ...DEFAULTS, ...options })
  const bytes = await source.get(cid, options)
  checkBlockSize(cid, bytes.length)
  verify(cid, bytes)
  return bytes
}
