import { SELECTORS } from '../../../contracts-abi/index.ts'
import type { ReadUri } from '../../catalog/guards-reads.ts'
import type { SavedGuard } from '../../catalog/guards.ts'
import { decodeString } from '../../chain/abi-bytes.ts'
import { callAt, type CallAt } from '../../chain/call-at.ts'
import { readContract, type ContractProfile } from '../../chain/contract-profile.ts'
import { CONTRACT_ITSELF } from '../../chain/follow/token-touches.ts'
import { bytesOfHex, type Hex } from '../../chain/hex.ts'
import type { ChainBlock } from '../../chain/pin-block.ts'
import { readBatch } from '../../chain/read-batches.ts'
import { parseCollectionId } from '../../core/collection-id.ts'
import { hasCode } from '../../core/errors.ts'
import type { GuardParts } from './parts.ts'
import { NO_TOKEN, readUrisOf, uriRead } from './read-uri.ts'

/** What tokens of a collection, or the contract itself, point to at a block; without those that could not be looked at. */
export async function readsAt(
  { collection, contract }: Pick<SavedGuard, 'collection' | 'contract'>,
  ids: readonly bigint[],
  block: ChainBlock,
  { pool, signal }: Pick<GuardParts, 'pool' | 'signal'>,
): Promise<ReadUri[]> {
  const { address, standard } = parseCollectionId(collection)
  const at = { pool, block, signal }
  const reads: ReadUri[] = []
  if (ids.includes(CONTRACT_ITSELF)) {
    const { returned } = await callAt(address, SELECTORS['contractURI()'], at)
    const bytes = bytesOfHex(returned)
    reads.push(uriRead(CONTRACT_ITSELF, bytes && decodeString(bytes), NO_TOKEN))
  }
  const items = ids.filter((id) => id !== CONTRACT_ITSELF)
  if (items.length === 0) return reads
  const wanted = { ...at, address, standard }
  const tokens = await readBatch(wanted, { items })
  const standards = (contract as ContractProfile | null)?.standards ?? (await standardsOf(address, at))
  return [...reads, ...(await readUrisOf(tokens, wanted, standards))]
}

async function standardsOf(address: Hex, at: CallAt): Promise<string[]> {
  try {
    return (await readContract(address, at)).standards
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return []
    throw error
  }
}
