import { saveReads, type ReadUri } from '../../catalog/guards-reads.ts'
import {
  finalTouches,
  forgetTouches,
  settleVersions,
  versionsToSettle,
  type OpenVersions,
  type Touch,
} from '../../catalog/guards-work.ts'
import type { SavedGuard } from '../../catalog/guards.ts'
import { RECONCILE } from '../../catalog/wake.ts'
import type { ChainBlock } from '../../chain/pin-block.ts'
import { hasKind } from '../../chain/rpc-failure.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { readsAt } from './reads-at.ts'

/** Ids of one reading; of more tokens nothing is read again but what is known of them. */
const MOST_IDS = 20_000n

/**
 * Reads tokens again at the newest block that is final: those of which events told, and those whose URI was read at a block
 * that is final now, which is final too where it is the same there. Answers whether there was anything to do.
 */
export async function settleFinal(chain: FollowedChain, parts: GuardParts): Promise<boolean> {
  const { final, blocks } = chain.known
  const block = blocks.findLast(({ number }) => number <= final)
  if (block === undefined) return false
  const hadTouches = await settleTouches(block, chain, parts)
  return (await settleUris(block, chain, parts)) || hadTouches
}

/** A provider may have answered a state that was not yet that of the block: what events touched is read once more. */
async function settleTouches(block: ChainBlock, chain: FollowedChain, parts: GuardParts): Promise<boolean> {
  const { db, wakes, settings } = parts
  const found = await finalTouches(db, chain.id, block.number)
  if (found === undefined) return false
  const ids = idsOf(found.touches)
  for (const guard of ids.length === 0 ? [] : found.guards) {
    const { at, reads } = await readAgain(guard, ids, block, chain, parts)
    const where = { chainId: chain.id, guardId: guard.id, block: at, orphanMs: settings.orphanMs }
    const { pinned } = await saveReads(db, chain.leading, where, reads)
    if (pinned > 0) wakes.announce(RECONCILE)
  }
  const told = found.touches.map(({ id }) => id)
  await forgetTouches(db, chain.leading, told)
  return true
}

function idsOf(touches: readonly Touch[]): bigint[] {
  const ranges = touches.flatMap(({ ids }) => ids ?? [])
  if (ranges.reduce((sum, { from, to }) => sum + to - from + 1n, 0n) > MOST_IDS) return []
  const ids = new Set<bigint>()
  for (const { from, to } of ranges) for (let id = from; id <= to; id++) ids.add(id)
  return [...ids]
}

async function settleUris(block: ChainBlock, chain: FollowedChain, parts: GuardParts): Promise<boolean> {
  const { blocks } = chain.known
  const open = await versionsToSettle(parts.db, chain.id, block.number)
  if (open === undefined) return false
  const ids = open.versions.map(({ tokenId }) => BigInt(tokenId))
  const { reads } = await readAgain(open, ids, block, chain, parts)
  const now = new Map(reads.map((read) => [read.tokenId, read]))
  const agreed = open.versions.filter((version) => isSame(now.get(version.tokenId), version))
  const others = open.versions.filter((version) => !agreed.includes(version))
  await settleVersions(parts.db, chain.leading, open, {
    block: others.length > 0 ? (blocks.at(-1) ?? block) : block,
    agreed: agreed.map(({ id }) => id),
    others,
  })
  return true
}

interface ReadAgain {
  at: ChainBlock
  reads: ReadUri[]
}

/** What tokens point to at a final block; where providers have no state so old, at the newest one. */
async function readAgain(
  guard: Pick<SavedGuard, 'collection' | 'contract'>,
  ids: readonly bigint[],
  block: ChainBlock,
  chain: FollowedChain,
  parts: GuardParts,
): Promise<ReadAgain> {
  try {
    return { at: block, reads: await readsAt(guard, ids, block, parts) }
  } catch (error) {
    if (!hasKind(error, 'behind', 'refused', 'unsupported')) throw error
    const top = chain.known.blocks.at(-1) ?? block
    return { at: top, reads: await readsAt(guard, ids, top, parts) }
  }
}

function isSame(read: ReadUri | undefined, { uri, extensions }: OpenVersions['versions'][number]): boolean {
  if (read === undefined || (read.extensions !== undefined && read.extensions !== extensions)) return false
  return read.uri === null || uri === null ? read.uri === uri : read.uri.equals(uri)
}
