import type { CID } from 'multiformats/cid'
import type { BlockBatch, BlockStore } from '../blocks/contract.ts'
import type { ManifestEntry } from '../core/block-source.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { readCar } from '../dag/read-car.ts'
import { proveWhole } from '../transfer/prove-whole.ts'
import type { Intaken } from './intake.ts'

export interface AddCarOptions {
  batch: BlockBatch
  store: BlockStore
  maxBytes: number
  signal: AbortSignal
  /** Throws for a root that is not to be held. */
  refuse: (root: CID) => void
}

/** Nothing is fetched here: what a CAR leaves out is for the network to find, later. */
const NOBODY = { block: () => Promise.resolve(undefined) }

/**
 * Takes a CAR with one root. A complete DAG (with what the store has already) is committed; of an incomplete one the
 * blocks are kept for the grace time, uncounted, so that a later pin need not fetch them.
 * @throws what `readCar` throws; INVALID_CAR when there is not exactly one root; what `refuse` throws; DAG_TOO_LARGE, DAG_TOO_DEEP,
 *   MALFORMED_BLOCK when the DAG is not one that we hold
 */
export async function addCar(body: AsyncIterable<Uint8Array>, options: AddCarOptions): Promise<Omit<Intaken, 'epoch'>> {
  const { root, received } = await receive(body, options)
  options.refuse(root)
  const manifest = await manifestOf(root, options)
  if (manifest === undefined) return incomplete(root, received)
  const { bytes, blocks } = await options.batch.commitRoot(root, manifest)
  return { cid: root.toString(), size: bytes, bytes, blocks, complete: true }
}

/**
 * Takes the blocks of a CAR, whatever DAG they make, and commits none: they stay for the grace time, or for as long as a
 * root counts them.
 * @throws as {@link addCar}
 */
export async function addBlocks(
  body: AsyncIterable<Uint8Array>,
  options: Pick<AddCarOptions, 'batch' | 'signal'>,
): Promise<Omit<Intaken, 'epoch'>> {
  const { root, received } = await receive(body, options)
  return incomplete(root, received)
}

/** Bytes and number of the blocks that were new. */
interface Received {
  bytes: number
  blocks: number
}

async function receive(
  body: AsyncIterable<Uint8Array>,
  { batch, signal }: Pick<AddCarOptions, 'batch' | 'signal'>,
): Promise<{ root: CID; received: Received }> {
  const car = await readCar(body, { signal })
  const [root] = car.roots
  if (root === undefined || car.roots.length !== 1) {
    throw new HoldfastError('INVALID_CAR', `A CAR must have exactly one root; this one has ${car.roots.length}.`)
  }
  const received = { bytes: 0, blocks: 0 }
  for await (const { cid, bytes } of car.blocks) {
    if (batch.has(cid)) continue
    await batch.put(cid, bytes)
    received.bytes += bytes.length
    received.blocks += 1
  }
  await batch.flush()
  return { root, received }
}

function incomplete(root: CID, received: Received): Omit<Intaken, 'epoch'> {
  return { cid: root.toString(), size: received.bytes, ...received, complete: false }
}

/** Undefined when blocks are missing. */
async function manifestOf(root: CID, options: AddCarOptions): Promise<Iterable<ManifestEntry> | undefined> {
  try {
    return await proveWhole(options.batch, { ...options, root, sources: [], client: NOBODY })
  } catch (error) {
    if (hasCode(error, 'BLOCK_MISSING')) return undefined
    throw error
  }
}
