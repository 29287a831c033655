import type { CID } from 'multiformats/cid'
import type { BlockReader } from '../blocks/contract.ts'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { RAW } from '../core/cid.ts'
import { hasCode, type HoldfastError } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import { UsedBuffers } from '../core/used-buffers.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { Log } from '../runtime/log.ts'
import type { PeerClient } from '../swarm/client.ts'
import { BlockCache } from './block-cache.ts'
import { BlockRun, type BlockRunOptions } from './block-run.ts'
import { ByteBudget } from './byte-budget.ts'
import type { Edge } from './edge-blocks.ts'
import type { Holders } from './holders.ts'
import type { Level } from './metrics.ts'
import { Misses } from './misses.ts'
import { SharedReads } from './shared-reads.ts'
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
  /**
   * Memory, this node's disk with its edge cache, then the cluster's other holders of the DAG under `root`, then the
   * network if allowed.
   */
  of(root: CID): GatewayBlocks
  /** Memory and this node's disk alone. */
  local: GatewayBlocks
}

export interface GatewaySources extends GatewaySource {
  /** The same without the network, for hosts that fetch nothing of others. */
  unfetched: GatewaySource
}

export interface SourceOptions {
  store: Pick<BlockReader, 'get' | 'sizeOf'>
  /** Copies of what others hold and is read much here; undefined on a node that keeps none. */
  edge?: Edge | undefined
  /** Undefined on a node that is alone. */
  holders: Holders | undefined
  /** Asked for what no holder has; undefined where content of others is not fetched. */
  network?: Pick<PeerClient, 'block'> | undefined
  cacheBytes: number
  /** Told where each block was found. */
  onFound?: ((level: Level | 'nowhere') => void) | undefined
  log: Log
}

/** What is read ahead from other nodes and waits for readers, over all of them. */
const AHEAD_BYTES = 64 * MIB

/**
 * Chains the places where a block can be. A block that this node's disk lost or spoiled is taken from another holder,
 * and its failure told only when nobody has it. Each block is fetched once however many ask for it meanwhile.
 */
export function chainSources(options: SourceOptions): GatewaySources {
  const memory: Memory = {
    cache: new BlockCache(options.cacheBytes),
    buffers: new UsedBuffers(),
    ahead: new ByteBudget(AHEAD_BYTES),
    reads: new SharedReads(options.store),
  }
  const source = chain(options, memory)
  return {
    ...source,
    unfetched: options.network === undefined ? source : chain({ ...options, network: undefined }, memory),
  }
}

/** What sources of different reach have in common. */
interface Memory {
  cache: BlockCache
  buffers: UsedBuffers
  ahead: ByteBudget
  reads: SharedReads
}

function chain(options: SourceOptions, { cache, buffers, ahead, reads }: Memory): GatewaySource {
  const { store, edge, holders, network, onFound, log } = options
  const misses = new Misses()
  const fetches = new SingleFlight<Uint8Array | undefined>()

  /** @throws CORRUPT_BLOCK, STORAGE_FAILED */
  async function fromHere(
    key: string,
    cid: CID,
    root: CID | undefined,
    options: Abortable | undefined,
  ): Promise<Uint8Array | undefined> {
    const cached = cache.get(key)
    const reading = cid.code === RAW ? { ...options, buffers } : options
    const held = cached ?? (await reads.get(key, cid, reading))
    const bytes = held ?? (await edge?.get(cid, root, reading))
    if (bytes === undefined) return undefined
    onFound?.(cached !== undefined ? 'memory' : held !== undefined ? 'store' : 'edge')
    if (cache.offer(key, bytes)) buffers.keep(bytes)
    return bytes
  }

  /** @param run what the reader has said it will read */
  async function fromAnywhere(
    cid: CID,
    root: CID,
    options: Abortable | undefined,
    run: BlockRun | undefined,
  ): Promise<Uint8Array | undefined> {
    const key = multihashKey(cid)
    let failure: HoldfastError | undefined
    try {
      const bytes = await fromHere(key, cid, root, options)
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
    const alone = (): Promise<Uint8Array | undefined> =>
      fetches.share(key, (signal) => fromElsewhere(key, cid, root, signal), options?.signal)
    const found = await (run?.get(key) ?? alone())
    if (found === undefined && failure !== undefined) throw failure
    return found
  }

  async function fromElsewhere(key: string, cid: CID, root: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const held = await holders?.find(cid, root, { signal })
    if (held !== undefined) edge?.fetched(root, held.length)
    const bytes = held ?? (await network?.block(cid, { signal }))
    onFound?.(held !== undefined ? 'holder' : bytes === undefined ? 'nowhere' : 'network')
    if (bytes === undefined) misses.add(key)
    else cache.offer(key, bytes)
    return bytes
  }

  const sizeOf = (cid: CID): number | undefined => store.sizeOf(cid) ?? edge?.sizeOf(cid)
  const giveBack = (bytes: Uint8Array): void => buffers.giveBack(bytes)

  /** Reads ahead from the other holders of a root. */
  function runOf(root: CID, signal: AbortSignal, known: Holders): BlockRun {
    const onBlock = (key: string, bytes: Uint8Array): void => {
      edge?.fetched(root, bytes.length)
      onFound?.('holder')
      cache.offer(key, bytes)
    }
    const isNear = (key: string, cid: CID): boolean => cache.has(key) || misses.has(key) || sizeOf(cid) !== undefined
    const one = (key: string, cid: CID, unwanted: AbortSignal): Promise<Uint8Array | undefined> =>
      fromElsewhere(key, cid, root, unwanted)
    const many: BlockRunOptions['far']['many'] = (cids, options) =>
      known.findMany(cids, root, {
        ...options,
        onBlock: (key, bytes) => {
          onBlock(key, bytes)
          options.onBlock(key, bytes)
        },
      })
    return new BlockRun({ far: { isNear, one, many }, flights: fetches, budget: ahead, signal })
  }

  /** Blocks of one DAG; each reader, known by its signal, has a run of its own. */
  function blocksOf(root: CID): GatewayBlocks {
    const runs = new WeakMap<AbortSignal, BlockRun>()
    return {
      get: (cid, options) => {
        const run = options?.signal === undefined ? undefined : runs.get(options.signal)
        return fromAnywhere(cid, root, options, run)
      },
      expect(cids, { signal }) {
        if (holders === undefined || cids.length < 2) return
        const run = runs.get(signal) ?? runOf(root, signal, holders)
        runs.set(signal, run)
        run.expect(cids)
      },
      sizeOf,
      giveBack,
    }
  }

  return {
    of: blocksOf,
    local: { get: (cid, options) => fromHere(multihashKey(cid), cid, undefined, options), sizeOf, giveBack },
  }
}
