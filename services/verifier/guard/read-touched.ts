import { saveReads } from '../../catalog/guards-reads.ts'
import { hastenFullRead, touchedGuards, type Touch, type TouchedGuard } from '../../catalog/guards-work.ts'
import { RECONCILE } from '../../catalog/wake.ts'
import type { ChainBlock } from '../../chain/pin-block.ts'
import { hasCode } from '../../core/errors.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { readsAt } from './reads-at.ts'

/** Many providers keep the state of so many blocks; of an older block the newest one is read in its place. */
const DEEPEST = 64n
/** Ids of one reading; of more tokens all are read. */
const MOST_IDS = 20_000n

/**
 * Reads the tokens of which events tell, each at the block of its event, and pins what they point to. Answers whether there
 * was anything to do.
 */
export async function readTouched(chain: FollowedChain, parts: GuardParts): Promise<boolean> {
  const guards = await touchedGuards(parts.db, chain.id)
  const outcomes = await Promise.allSettled(guards.map((guard) => readOne(guard, chain, parts)))
  const failed = outcomes.find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
  return guards.length > 0
}

async function readOne(guard: TouchedGuard, chain: FollowedChain, parts: GuardParts): Promise<void> {
  const { db } = parts
  const { touches } = guard
  const last = touches.at(-1)?.id ?? '0'
  const ids = touches.reduce(
    (sum, touch) => sum + (touch.ids === undefined ? 0n : touch.ids.to - touch.ids.from + 1n),
    0n,
  )
  if (ids > MOST_IDS || touches.some((touch) => touch.ids === undefined)) {
    await hastenFullRead(db, chain.leading, guard.id, last)
    return
  }
  for (const group of groupsOf(touches, chain)) {
    try {
      await readGroup(guard, group, chain, parts)
    } catch (error) {
      // The block is not on the chain any more: its touches come again.
      if (hasCode(error, 'CONFLICT')) return
      throw error
    }
  }
}

interface Group {
  block: ChainBlock
  ids: Set<bigint>
  /** The last touch of it. */
  upTo: string
}

/** Touches in their order, those together that are read at the same block. */
function groupsOf(touches: readonly Touch[], { known: { blocks } }: FollowedChain): Group[] {
  const top = blocks.at(-1) as ChainBlock
  const byNumber = new Map(blocks.map((block) => [block.number, block]))
  const groups: Group[] = []
  for (const { id, block, ids } of touches) {
    const at = (block >= top.number - DEEPEST ? byNumber.get(block) : undefined) ?? top
    let group = groups.at(-1)
    if (group?.block.number !== at.number) groups.push((group = { block: at, ids: new Set(), upTo: id }))
    for (let one = ids?.from ?? 0n; one <= (ids?.to ?? -1n); one++) group.ids.add(one)
    group.upTo = id
  }
  return groups
}

async function readGroup(
  guard: TouchedGuard,
  { block, ids, upTo }: Group,
  { leading }: FollowedChain,
  parts: GuardParts,
): Promise<void> {
  const { db, wakes, log, settings } = parts
  const reads = await readsAt(guard, [...ids], block, parts)
  const where = { chainId: guard.chainId, guardId: guard.id, block, touchedUpTo: upTo, orphanMs: settings.orphanMs }
  const { changed, pinned } = await saveReads(db, leading, where, reads)
  if (pinned > 0) wakes.announce(RECONCILE)
  const { tenantId, collection } = guard
  if (changed > 0) log.info({ tenantId, collection, changed, pinned }, 'tokens of a guarded collection point elsewhere')
}
