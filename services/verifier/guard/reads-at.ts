import { SELECTORS } from '../../../contracts-abi/index.ts'
import type { ReadUri } from '../../catalog/guards-reads.ts'
import type { SavedGuard } from '../../catalog/guards.ts'
import { decodeString } from '../../chain/abi-bytes.ts'
import { callAt } from '../../chain/call-at.ts'
import { CONTRACT_ITSELF } from '../../chain/follow/token-touches.ts'
import { bytesOfHex } from '../../chain/hex.ts'
import type { ChainBlock } from '../../chain/pin-block.ts'
import { readBatch } from '../../chain/read-batches.ts'
import { parseCollectionId } from '../../core/collection-id.ts'
import type { GuardParts } from './parts.ts'
import { readUriOf, uriRead } from './read-uri.ts'

/** What tokens of a collection, or the contract itself, point to at a block; without those that could not be looked at. */
export async function readsAt(
  { collection }: Pick<SavedGuard, 'collection'>,
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
    reads.push(uriRead(CONTRACT_ITSELF, bytes && decodeString(bytes), false))
  }
  const items = ids.filter((id) => id !== CONTRACT_ITSELF)
  if (items.length === 0) return reads
  const tokens = await readBatch({ ...at, address, standard }, { items })
  return [...reads, ...tokens.flatMap((read) => readUriOf(read, standard === 'erc1155') ?? [])]
}
