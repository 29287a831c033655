import { saveReads, type ReadUri } from '../../catalog/guards-reads.ts'
import { clockOf, guardsToRead, knownTokens, noteGuardProblem, saveFullRead } from '../../catalog/guards-work.ts'
import type { SavedGuard } from '../../catalog/guards.ts'
import { RECONCILE } from '../../catalog/wake.ts'
import type { CollectionWanted, Coverage } from '../../chain/collection.ts'
import { readContract, type ContractProfile } from '../../chain/contract-profile.ts'
import { enumerateTokens } from '../../chain/enumerate.ts'
import { CONTRACT_ITSELF } from '../../chain/follow/token-touches.ts'
import type { ChainBlock } from '../../chain/pin-block.ts'
import { readBatches } from '../../chain/read-batches.ts'
import type { TokenRead } from '../../chain/read-tokens.ts'
import { hasCode } from '../../core/errors.ts'
import { parseCollectionId } from '../../core/collection-id.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { NO_TOKEN, readUrisOf, uriRead } from './read-uri.ts'

/** Tokens of one guard. */
const MOST_TOKENS = 100_000
/** Contracts that are read at once. */
const AT_ONCE = 2

/** Reads all tokens of the guards whose turn it is, at the newest block. Answers whether there may be more. */
export async function readAllDue(chain: FollowedChain, parts: GuardParts): Promise<boolean> {
  const due = await guardsToRead(parts.db, chain.id, AT_ONCE)
  await Promise.all(due.map((guard) => readOne(guard, chain, parts)))
  return due.length === AT_ONCE
}

/** Fails never because of a contract, or of providers: it is tried again then. */
async function readOne(guard: SavedGuard, chain: FollowedChain, parts: GuardParts): Promise<void> {
  const { db, log, settings, signal } = parts
  try {
    await readAll(guard, chain.known.blocks.at(-1) as ChainBlock, chain, parts)
  } catch (error) {
    // It begins again: the block is not on the chain any more, or another process leads.
    if (signal.aborted || hasCode(error, 'CONFLICT')) return
    if (!hasCode(error)) throw error
    const { id, tenantId, collection } = guard
    log.warn({ err: error, tenantId, collection }, 'a guarded collection could not be read')
    await noteGuardProblem(db, id, error, settings.retryMs)
  }
}

async function readAll(
  guard: SavedGuard,
  block: ChainBlock,
  { leading }: FollowedChain,
  { db, pool, wakes, log, settings, signal }: GuardParts,
): Promise<void> {
  const { id: guardId, chainId, tenantId, collection } = guard
  const { address, standard } = parseCollectionId(collection)
  const startedAt = await clockOf(db)
  const wanted = { pool, block, signal, address, standard, maxTokens: MOST_TOKENS }
  const profile = await readContract(address, wanted)
  const before = await knownTokens(db, guardId)
  const { coverage, batches } = await tokensOf(guard, profile, wanted, before)
  const seen = new Set<string>()
  let [changed, pinned] = [0, 0]
  const save = async (reads: readonly ReadUri[]): Promise<void> => {
    const saved = await saveReads(db, leading, { chainId, guardId, block, orphanMs: settings.orphanMs }, reads)
    changed += saved.changed
    pinned += saved.pinned
  }
  for await (const batch of batches) {
    for (const { id } of batch) seen.add(String(id))
    await save(await readUrisOf(batch, wanted, profile.standards))
  }
  const gone = coverage.isComplete ? before.filter((id) => !seen.has(id)) : []
  await save([
    uriRead(CONTRACT_ITSELF, profile.contractUri ?? undefined, NO_TOKEN),
    ...gone.map((id) => uriRead(BigInt(id), undefined, NO_TOKEN)),
  ])
  const upgrade = upgradeOf(guard.contract, profile)
  const nextMs = settings.fullEveryMs
  await saveFullRead(db, leading, guard, { block, startedAt, nextMs, contract: profile, coverage, upgrade })
  if (pinned > 0) wakes.announce(RECONCILE)
  log.debug({ tenantId, collection, tokens: seen.size, changed, pinned }, 'a guarded collection was read')
}

/**
 * The tokens by the contract's index; where it has none, those that are known already once its events were read: what comes
 * later is told by events, which are followed.
 */
async function tokensOf(
  { coverage: before }: SavedGuard,
  profile: ContractProfile,
  wanted: CollectionWanted & { maxTokens: number },
  known: readonly string[],
): Promise<{ coverage: Coverage; batches: AsyncIterable<TokenRead[]> }> {
  if (before?.['strategy'] !== 'logs') return await enumerateTokens(wanted, profile)
  const coverage = before as unknown as Coverage
  return { coverage, batches: readBatches(wanted, { items: known.slice(0, MOST_TOKENS).map(BigInt) }) }
}

/** What became of the code since it was read before; undefined when it is the same, or was not read before. */
function upgradeOf(
  before: Record<string, unknown> | null,
  { codeHash, mutability }: ContractProfile,
): Record<string, unknown> | undefined {
  if (before === null) return undefined
  const was = before as unknown as ContractProfile
  const facts = [
    ['codeHash', was.codeHash, codeHash],
    ['implementation', was.mutability.implementation, mutability.implementation],
    ['beacon', was.mutability.beacon, mutability.beacon],
  ] as const
  const changed = facts.filter(([, from, to]) => from !== to)
  if (changed.length === 0) return undefined
  return Object.fromEntries(changed.map(([name, from, to]) => [name, { from, to }]))
}
