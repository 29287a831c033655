import type { CID } from 'multiformats/cid'
import type { BlockReader } from '../blocks/contract.ts'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { RAW } from '../core/cid.ts'
import { hasCode, type HoldfastError } from '../core/errors.ts'
import { UsedBuffers } from '../core/used-buffers.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { Log } from '../runtime/log.ts'
import type { PeerClient } from '../swarm/client.ts'
import { BlockCache } from './block-cache.ts'
import type { Holders } from './holders.ts'
import type { Level } from './metrics.ts'
import { Misses } from './misses.ts'
import { SingleFlight } from './single-flight.ts'

/** Blocks of one DAG. */
export interface GatewayBlocks extends BlockSource {
  /** Bytes of the block, when this node's own disk has it; nothing is read for that. */
  sizeOf(cid: CID): number | undefined
  /** Whoever asked for a raw block may give its bytes, or a part of them, back once nobody reads them any more. */
  giveBack(bytes: Uint8Array): void
}

/** Where a gateway's blocks come from; every block has been hashed against its CID in this process. */
export interface GatewaySource {
  /** Memory, this node's disk, then the cluster's other holders of the DAG under `root`, then the network if allowed. */
  of(root: CID): GatewayBlocks
  /** Memory and this node's disk alone. */
  local: GatewayBlocks
}

export interface SourceOptions {
  store: Pick<BlockReader, 'get' | 'sizeOf'>
  /** Undefined on a node that is alone. */
  holders: Holders | undefined
  /** Asked for what no holder has; undefined where content of others is not fetched. */
  network?: Pick<PeerClient, 'block'> | undefined
  cacheBytes: number
  /** Told where each block was found. */
  onFound?: ((level: Level | 'nowhere') => void) | undefined
  log: Log
}

/**
 * Chains the places where a block can be. A block that this node's disk lost or spoiled is taken from another holder,
 * and its failure told only when nobody has it. Each block is fetched once however many ask for it meanwhile.
 */
export function chainSources({ store, holders, network, cacheBytes, onFound, log }: SourceOptions): GatewaySource {
  const cache = new BlockCache(cacheBytes)
  const buffers = new UsedBuffers()
  const misses = new Misses()
  const fetches = new SingleFlight<Uint8Array | undefined>()

  /** @throws CORRUPT_BLOCK, STORAGE_FAILED */
  async function fromHere(key: string, cid: CID, options: Abortable | undefined): Promise<Uint8Array | undefined> {
    const cached = cache.get(key)
    const bytes = cached ?? (await store.get(cid, cid.code === RAW ? { ...options, buffers } : options))
    if (bytes === undefined) return undefined
    onFound?.(cached === undefined ? 'store' : 'memory')
    if (cache.offer(key, bytes)) buffers.keep(bytes)
    return bytes
  }

  async function fromAnywhere(cid: CID, root: CID, options: Abortable | undefined): Promise<Uint8Array | undefined> {
    const key = multihashKey(cid)
    let failure: HoldfastError | undefined
    try {
      const bytes = await fromHere(key, cid, options)
      if (bytes !== undefined || (holders ?? network) === undefined) return bytes
    } catch (error) {
      if (!hasCode(error, 'CORRUPT_BLOCK', 'STORAGE_FAILED')) throw error
      log.warn({ err: error, cid: cid.toString() }, 'a block could not be read from this disk')
      failure = error
    }
    if (misses.has(key)) {
      if (failure !== undefined) throw failure
      return undefined
    }
    const found = await fetches.share(key, (signal) => fromElsewhere(key, cid, root, signal), options?.signal)
    if (found === undefined && failure !== undefined) throw failure
    return found
  }

  async function fromElsewhere(key: string, cid: CID, root: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const held = await holders?.find(cid, root, { signal })
    const bytes = held ?? (await network?.block(cid, { signal }))
    onFound?.(held !== undefined ? 'holder' : bytes === undefined ? 'nowhere' : 'network')
    if (bytes === undefined) misses.add(key)
    else cache.offer(key, bytes)
    return bytes
  }

  const sizeOf = (cid: CID): number | undefined => store.sizeOf(cid)
  const giveBack = (bytes: Uint8Array): void => buffers.giveBack(bytes)
  return {
    of: (root) => ({ get: (cid, options) => fromAnywhere(cid, root, options), sizeOf, giveBack }),
    local: { get: (cid, options) => fromHere(multihashKey(cid), cid, options), sizeOf, giveBack },
  }
}
