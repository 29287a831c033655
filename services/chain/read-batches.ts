import { createHash } from 'node:crypto'
import { SELECTORS } from '../../contracts-abi/index.ts'
import type { CollectionWanted } from './collection.ts'
import type { Hex } from './hex.ts'
import { readTokens, type TokenRead } from './read-tokens.ts'

export interface ItemsWanted {
  /** Ids, or indexes. */
  items: readonly bigint[]
  byIndex?: boolean
  /** @default what the standard says */
  selector?: Hex
}

/** Tokens of one batch: what is held in memory, and what several providers have to agree on at once. */
const BATCH = 2_000

/** Reads items in their order, batch by batch, as many providers agree on each. @throws RpcFailure */
export async function* readBatches(
  wanted: CollectionWanted,
  { items, ...what }: ItemsWanted,
): AsyncGenerator<TokenRead[]> {
  for (let from = 0; from < items.length; from += BATCH) {
    yield await readBatch(wanted, { items: items.slice(from, from + BATCH), ...what })
  }
}

/** @throws RpcFailure */
export function readBatch(
  wanted: CollectionWanted,
  { items, byIndex = false, selector }: ItemsWanted,
): Promise<TokenRead[]> {
  const { pool, block, address, standard, signal } = wanted
  const uri = SELECTORS[standard === 'erc721' ? 'tokenURI(uint256)' : 'uri(uint256)']
  const read = { address, selector: selector ?? uri, items, byIndex, blockHash: block.hash }
  return pool.agreed((provider, aborted) => readTokens(provider, read, aborted), fingerprint, {
    atLeast: block.number,
    ...(signal && { signal }),
  })
}

function fingerprint(reads: readonly TokenRead[]): string {
  const hash = createHash('sha256')
  for (const { id, outcome, returned } of reads) hash.update(`${id} ${outcome} ${returned.length} `).update(returned)
  return hash.digest('base64')
}
