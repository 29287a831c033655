import type { ContractProfile } from './contract-profile.ts'
import type { BoundedCollection, Enumeration } from './collection.ts'
import { readBatches } from './read-batches.ts'
import type { TokenRead } from './read-tokens.ts'

/** Ids that are tried. Contracts that look back for owners answer for few of them, so more would find little. */
const MOST_TRIED = 10_000n
/** Tried beyond what the contract counts: ids often begin at 1, and burned ones leave holes. */
const BEYOND = 1_000n

/**
 * The tokens among the first ids: a lower bound, and no evidence that others do not exist. ERC-1155 forbids to take `uri` as
 * evidence of a token, so nothing is tried there.
 * @param reason why nothing better could be done
 */
export function enumerateByProbing(
  wanted: BoundedCollection,
  { totalSupply }: ContractProfile,
  reason: string,
): Enumeration {
  if (wanted.standard === 'erc1155') {
    return { coverage: { strategy: 'none', isComplete: false, gaps: [reason], fromBlock: null }, batches: none() }
  }
  const counted = BigInt(totalSupply ?? '0')
  const wish = counted + BEYOND < MOST_TRIED ? counted + BEYOND : MOST_TRIED
  const tried = wish < BigInt(wanted.maxTokens) ? wish : BigInt(wanted.maxTokens)
  const items = Array.from({ length: Number(tried) }, (_, index) => BigInt(index))
  const gaps = [reason, `Tokens were looked for among the ids below ${tried} only.`]
  return {
    coverage: { strategy: 'probing', isComplete: false, gaps, fromBlock: null },
    batches: existing(readBatches(wanted, { items })),
  }
}

async function* existing(batches: AsyncIterable<TokenRead[]>): AsyncGenerator<TokenRead[]> {
  for await (const batch of batches) yield batch.filter(({ outcome }) => outcome !== 'reverted')
}

async function* none(): AsyncGenerator<TokenRead[]> {
  yield* []
}
