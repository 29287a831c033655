import { SELECTORS } from '../../contracts-abi/index.ts'
import type { ContractProfile } from './contract-profile.ts'
import type { BoundedCollection, Coverage, Enumeration } from './collection.ts'
import { readBatch, readBatches } from './read-batches.ts'
import type { TokenRead } from './read-tokens.ts'

/** Tokens that are looked at before the index is believed. */
const SAMPLE = 16n

/**
 * The tokens by ERC-721's `tokenByIndex`; undefined when the contract has no such index, or one that contradicts itself:
 * indexes that lead to one token twice, or to tokens that nobody owns.
 */
export async function enumerateByIndex(
  wanted: BoundedCollection,
  { totalSupply, standards }: ContractProfile,
): Promise<Enumeration | undefined> {
  const supply = BigInt(totalSupply ?? '-1')
  if (supply < 0n || (supply === 0n && !standards.includes('erc721-enumerable'))) return undefined
  if (!(await isPlausible(wanted, supply))) return undefined
  const most = BigInt(wanted.maxTokens)
  const gaps: string[] = []
  if (supply > most) gaps.push(`The contract counts ${supply} tokens; the first ${most} were read.`)
  const coverage: Coverage = { strategy: 'enumerable', isComplete: gaps.length === 0, gaps, fromBlock: null }
  const items = Array.from({ length: Number(supply > most ? most : supply) }, (_, index) => BigInt(index))
  return { coverage, batches: distinct(readBatches(wanted, { items, byIndex: true }), coverage) }
}

async function isPlausible(wanted: BoundedCollection, supply: bigint): Promise<boolean> {
  if (supply === 0n) return true
  const step = supply / SAMPLE > 0n ? supply / SAMPLE : 1n
  const places = Array.from({ length: Number(supply < SAMPLE ? supply : SAMPLE) }, (_, index) => BigInt(index) * step)
  const selector = SELECTORS['ownerOf(uint256)']
  const owners = await readBatch(wanted, { items: places, byIndex: true, selector })
  if (owners.some(({ outcome, returned }) => outcome !== 'read' || !isOwner(returned))) return false
  if (new Set(owners.map(({ id }) => id)).size !== owners.length) return false
  const [beyond] = await readBatch(wanted, { items: [supply], byIndex: true, selector })
  return beyond?.outcome === 'no-such-index'
}

function isOwner(returned: Uint8Array): boolean {
  return returned.length === 32 && returned.some((byte) => byte !== 0)
}

/** What is found a second time is left out, and told. */
async function* distinct(batches: AsyncIterable<TokenRead[]>, coverage: Coverage): AsyncGenerator<TokenRead[]> {
  const seen = new Set<bigint>()
  let repeated = 0
  let absent = 0
  for await (const batch of batches) {
    const found = batch.filter(({ id, outcome }) => {
      if (outcome === 'no-such-index') absent += 1
      else if (seen.has(id)) repeated += 1
      else return seen.add(id) !== undefined
      return false
    })
    yield found
  }
  if (repeated > 0) coverage.gaps.push(`The contract's index leads to a token again ${repeated} times.`)
  if (absent > 0) coverage.gaps.push(`The contract's index lacks ${absent} of the tokens that it counts.`)
  coverage.isComplete &&= repeated + absent === 0
}
