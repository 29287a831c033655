import { settleVersions, versionsToSettle, type OpenVersions } from '../../catalog/guards-work.ts'
import type { ChainBlock } from '../../chain/pin-block.ts'
import { hasKind } from '../../chain/rpc-failure.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { readsAt } from './reads-at.ts'

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
  { versions, ...guard }: OpenVersions,
  block: ChainBlock,
  parts: GuardParts,
): Promise<Map<string, Buffer | null>> {
  const ids = versions.map(({ tokenId }) => BigInt(tokenId))
  const reads = await readsAt(guard, ids, block, parts)
  return new Map(reads.map(({ tokenId, uri }) => [tokenId, uri]))
}

function isSame(a: Buffer | null | undefined, b: Buffer | null): boolean {
  return a === null || a === undefined || b === null ? a === b : a.equals(b)
}
