import type { BoundedCollection, CollectionWanted, Enumeration } from './collection.ts'
import type { ContractProfile } from './contract-profile.ts'
import { enumerateByIndex } from './enumerate-by-index.ts'
import { enumerateByLogs } from './enumerate-by-logs.ts'
import { enumerateByProbing } from './enumerate-by-probing.ts'
import { readBatches } from './read-batches.ts'

const MOST_TOKENS = 1_000_000

/**
 * Finds and reads the tokens of a contract: by its index when that is plausible, else by its logs from the block on that
 * made it, else by trying ids. What a contract says of itself is bounded and checked, never believed.
 * @throws RpcFailure
 */
export async function enumerateTokens(wanted: CollectionWanted, profile: ContractProfile): Promise<Enumeration> {
  const bounded = { ...wanted, maxTokens: Math.min(wanted.maxTokens ?? MOST_TOKENS, MOST_TOKENS) }
  if (wanted.ids !== undefined) return given(bounded, wanted.ids)
  if (wanted.standard === 'erc721') {
    const byIndex = await enumerateByIndex(bounded, profile)
    if (byIndex !== undefined) return byIndex
  }
  const { found, gap } = await enumerateByLogs(bounded)
  if (found !== undefined) return found
  return enumerateByProbing(bounded, profile, gap)
}

function given(wanted: BoundedCollection, ids: readonly bigint[]): Enumeration {
  const items = [...new Set(ids)].slice(0, wanted.maxTokens)
  const gaps = ['Only tokens that were asked for are in the list.']
  return {
    coverage: { strategy: 'given', isComplete: false, gaps, fromBlock: null },
    batches: readBatches(wanted, { items }),
  }
}
