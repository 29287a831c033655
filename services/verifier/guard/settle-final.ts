import { settleVersions, versionsToSettle, type OpenVersions } from '../../catalog/guards-work.ts'
import { SELECTORS } from '../../../contracts-abi/index.ts'
import { decodeString } from '../../chain/abi-bytes.ts'
import { callAt } from '../../chain/call-at.ts'
import { CONTRACT_ITSELF } from '../../chain/follow/token-touches.ts'
import { bytesOfHex } from '../../chain/hex.ts'
import type { ChainBlock } from '../../chain/pin-block.ts'
import { readBatch } from '../../chain/read-batches.ts'
import { hasKind } from '../../chain/rpc-failure.ts'
import { parseCollectionId } from '../../core/collection-id.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { readUriOf, uriRead } from './read-uri.ts'

/**
 * Reads tokens again at the newest block that is final, and makes those final that are the same there. Answers whether there
 * was anything to do.
 */
export async function settleFinal(chain: FollowedChain, parts: GuardParts): Promise<boolean> {
  const { final, blocks } = chain.known
  const block = blocks.findLast(({ number }) => number <= final)
  if (block === undefined) return false
  const open = await versionsToSettle(parts.db, chain.id, block.number)
  if (open === undefined) return false
  const uris = await readAgain(open, block, chain, parts)
  const agreed = open.versions.filter(({ tokenId, uri }) => uris.has(tokenId) && isSame(uris.get(tokenId), uri))
  const others = open.versions.filter((version) => !agreed.includes(version))
  await settleVersions(parts.db, chain.leading, open, {
    block: others.length > 0 ? (blocks.at(-1) ?? block) : block,
    agreed: agreed.map(({ id }) => id),
    others,
  })
  return true
}

/** What tokens point to at a final block; where providers have no state so old, at the newest one. */
async function readAgain(open: OpenVersions, block: ChainBlock, chain: FollowedChain, parts: GuardParts) {
  try {
    return await urisAt(open, block, parts)
  } catch (error) {
    if (!hasKind(error, 'behind', 'refused', 'unsupported')) throw error
    return await urisAt(open, chain.known.blocks.at(-1) ?? block, parts)
  }
}

async function urisAt(
  { collection, versions }: OpenVersions,
  block: ChainBlock,
  { pool, signal }: GuardParts,
): Promise<Map<string, Buffer | null>> {
  const { address, standard } = parseCollectionId(collection)
  const at = { pool, block, signal }
  const uris = new Map<string, Buffer | null>()
  const ids = versions.map(({ tokenId }) => BigInt(tokenId))
  if (ids.includes(CONTRACT_ITSELF)) {
    const { returned } = await callAt(address, SELECTORS['contractURI()'], at)
    const bytes = bytesOfHex(returned)
    uris.set(String(CONTRACT_ITSELF), uriRead(CONTRACT_ITSELF, bytes && decodeString(bytes), false).uri)
  }
  const items = ids.filter((id) => id !== CONTRACT_ITSELF)
  const reads = items.length === 0 ? [] : await readBatch({ ...at, address, standard }, { items })
  for (const read of reads) {
    const found = readUriOf(read, standard === 'erc1155')
    if (found !== undefined) uris.set(found.tokenId, found.uri)
  }
  return uris
}

function isSame(a: Buffer | null | undefined, b: Buffer | null): boolean {
  return a === null || a === undefined || b === null ? a === b : a.equals(b)
}
