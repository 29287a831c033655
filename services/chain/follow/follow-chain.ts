import type { ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import type { Log } from '../read-logs.ts'
import { hasKind, RpcFailure } from '../rpc-failure.ts'
import { rulesOut, tellsOfLog } from './bloom.ts'
import { readLogsOfBlock, readLogsOfRange, type LogFilter } from './block-logs.ts'
import { readFinal, readHead, readHeader, readHighestHead, type Header } from './header.ts'
import { newestOnChain } from './known-chain.ts'

/** What is known of a chain: kept by whoever follows it, and changed by the steps that it takes. */
export interface KnownChain {
  /** Blocks whose events were taken in, ascending: the newest without a gap, older ones sparsely. */
  blocks: readonly ChainBlock[]
  /** The newest block that counts as final; -1: none yet. */
  final: bigint
}

/**
 * What is to be done next, in one transaction:
 * - `rest`: nothing; the chain has not grown
 * - `back`: everything above `to` is void; undefined: all that is known. `isBroken` when that was final
 * - `on`: these blocks are new, and have these logs. `isRange`: they were asked for by a range, of which nothing tells whether
 *   logs are missing. `saved`: blocks whose logs were not asked for. `filters`: whether the blocks' filters told of their logs;
 *   undefined when they have none
 */
export type Step =
  | { kind: 'rest'; head: Header }
  | { kind: 'back'; to: ChainBlock | undefined; isBroken: boolean }
  | {
      kind: 'on'
      blocks: readonly ChainBlock[]
      logs: readonly Log[]
      head: Header
      isRange: boolean
      saved: number
      filters: 'right' | 'wrong' | undefined
    }

export interface FollowOptions {
  pool: ProviderPool
  filter: LogFilter
  /**
   * Blocks that are never taken for final, whatever providers say: there are chains on which `finalized` is the newest
   * block.
   */
  minDepth: number
  /** Blocks that count as final are asked for by a range when there are more than so many. @default 64 */
  rangeFrom?: number
  /**
   * No new block has come for so long that every provider is asked for its newest: when all of them are below what is
   * known, it is the chain that has become shorter.
   */
  isStuck?: boolean
  /**
   * Logs of a block are not asked for when its filter rules out that it has any that are wanted. With a quorum they are: a
   * filter is the word of one provider.
   */
  trustsFilters?: boolean
  signal?: AbortSignal
}

/** Blocks of one step. Above what is final each costs two calls; below it a range costs five. */
const BLOCKS_AT_ONCE = 16n
const RANGE = 1_000n
const RANGE_FROM = 64
const MOST_RULED_OUT = 1_000

/**
 * The next step along a chain. Blocks are chained by their parents' hashes; the logs of blocks that may still be reorganised
 * are asked for by the hash of their block, so that they are those of that very block. Nothing is remembered here: a step that
 * is not committed is taken again.
 * @throws RpcFailure when providers cannot answer, or the chain changed meanwhile: the step is to be taken again
 */
export async function nextStep(known: KnownChain, options: FollowOptions): Promise<Step> {
  const { pool, minDepth, rangeFrom = RANGE_FROM, isStuck = false, signal } = options
  const head = await (isStuck ? readHighestHead(pool, signal) : readHead(pool, signal))
  const top = known.blocks.at(-1)
  if (top === undefined) return await begin(head, options)
  if (head.number <= top.number) {
    const same = known.blocks.find(({ number }) => number === head.number)
    const isBehind = same === undefined || same.hash === head.hash
    if (head.number === top.number ? isBehind : isBehind && !isStuck) return { kind: 'rest', head }
    return await goBack(known, head, options)
  }
  const deep = head.number - BigInt(minDepth)
  const least = top.number + BigInt(rangeFrom)
  const settled = deep > least ? smaller(deep, await readFinal(pool, signal)) : top.number
  return settled > least
    ? await takeRange(known, top, smaller(settled, top.number + RANGE), head, options)
    : await takeBlocks(known, top, head, options)
}

/** A chain that is new here begins at its newest block, with one below it to fall back to. */
async function begin(head: Header, { pool, minDepth, signal }: FollowOptions): Promise<Step> {
  const below = head.number - BigInt(minDepth)
  const blocks = below > 0n ? [await readHeader(pool, below, signal), head] : [head]
  return { kind: 'on', blocks, logs: [], head, isRange: false, saved: 0, filters: undefined }
}

async function takeBlocks(known: KnownChain, top: ChainBlock, head: Header, options: FollowOptions): Promise<Step> {
  const { pool, filter, trustsFilters = false, signal } = options
  const last = smaller(head.number, top.number + BLOCKS_AT_ONCE)
  const numbers = Array.from({ length: Number(last - top.number) }, (_, index) => top.number + 1n + BigInt(index))
  const headers = await Promise.all(
    numbers.map((number) => (number === head.number ? Promise.resolve(head) : readHeader(pool, number, signal))),
  )
  for (const [index, header] of headers.entries()) {
    if (header.parentHash === (headers[index - 1] ?? top).hash) continue
    if (index === 0) return await goBack(known, head, options)
    throw new RpcFailure('behind', 'The chain was reorganised while it was read.')
  }
  const asked = trustsFilters && pool.quorum === 1 ? headers.filter((header) => mayHave(header, filter)) : headers
  const logs = await Promise.all(asked.map((header) => readLogsOfBlock(pool, header, filter, signal)))
  const filters = filtersOf(asked, logs)
  const saved = headers.length - asked.length
  return { kind: 'on', blocks: headers, logs: logs.flat(), head, isRange: false, saved, filters }
}

function mayHave({ bloom }: Header, { addresses, topics }: LogFilter): boolean {
  // Of so many some are always in it by chance.
  return bloom === undefined || addresses.length > MOST_RULED_OUT || !rulesOut(bloom, addresses, topics)
}

function filtersOf(headers: readonly Header[], logs: readonly (readonly Log[])[]): 'right' | 'wrong' | undefined {
  const told = headers.flatMap(({ bloom }, index) =>
    (logs[index] ?? []).map((log) => bloom !== undefined && tellsOfLog(bloom, log)),
  )
  return told.length === 0 ? undefined : told.every(Boolean) ? 'right' : 'wrong'
}

/** Both ends are looked at before and after, so that what was read in between is of this chain. */
async function takeRange(
  known: KnownChain,
  top: ChainBlock,
  to: bigint,
  head: Header,
  options: FollowOptions,
): Promise<Step> {
  const { pool, filter, signal } = options
  if (!(await isOnChain(top, head, options))) return await goBack(known, head, options)
  const before = await readHeader(pool, to, signal)
  const logs = await readLogsOfRange(pool, { from: top.number + 1n, to }, filter, signal)
  const after = await readHeader(pool, to, signal)
  if (before.hash !== after.hash || !(await isOnChain(top, head, options))) {
    throw new RpcFailure('behind', 'The chain was reorganised while it was read.')
  }
  return { kind: 'on', blocks: [after], logs, head, isRange: true, saved: 0, filters: undefined }
}

async function goBack(known: KnownChain, head: Header, options: FollowOptions): Promise<Step> {
  const to = await newestOnChain(known.blocks, (block) => isOnChain(block, head, options))
  if (to !== undefined && to.number === known.blocks.at(-1)?.number) return { kind: 'rest', head }
  return { kind: 'back', to, isBroken: known.final >= 0n && (to === undefined || to.number < known.final) }
}

async function isOnChain(block: ChainBlock, head: ChainBlock, { pool, signal }: FollowOptions): Promise<boolean> {
  if (block.number > head.number) return false
  if (block.number === head.number) return block.hash === head.hash
  try {
    return (await readHeader(pool, block.number, signal)).hash === block.hash
  } catch (error) {
    // The chain has become shorter than it was a moment ago.
    if (hasKind(error, 'behind')) return false
    throw error
  }
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
