import { createHash } from 'node:crypto'
import { creationBlock } from './creation-block.ts'
import type { BoundedCollection, Coverage, Enumeration } from './collection.ts'
import { readBatches } from './read-batches.ts'
import { readLogs, type Log } from './read-logs.ts'
import { hasKind } from './rpc-failure.ts'
import { LEDGER_TOPICS, TokenLedger } from './token-ledger.ts'

/** Blocks whose logs are agreed on, and held, at once. */
const WINDOW = 500_000n
/** Calls that one enumeration may cost; a provider that takes 10 blocks a call would be asked a million times. */
const MOST_CALLS = 20_000n

/** The tokens by the contract's events from the block on that made it; else why that cannot be done. */
export async function enumerateByLogs(
  wanted: BoundedCollection,
): Promise<{ found: Enumeration; gap?: undefined } | { found?: undefined; gap: string }> {
  const from = wanted.fromBlock ?? (await creationBlock(wanted.address, wanted))
  if (from === undefined) {
    return {
      gap: 'Providers keep no state so old as the contract, so that nobody knows from which block on to read logs.',
    }
  }
  const ledger = new TokenLedger(wanted.maxTokens)
  const gap = await fill(ledger, wanted, from)
  if (gap !== undefined) return { gap }
  const items = ledger.ids(wanted.maxTokens)
  const gaps = ledger.isCut
    ? [`The contract's events tell of more tokens than the ${wanted.maxTokens} that are read, or cannot be read.`]
    : []
  const coverage: Coverage = { strategy: 'logs', isComplete: !ledger.isCut, gaps, fromBlock: String(from) }
  return { found: { coverage, batches: readBatches(wanted, { items }) } }
}

/** Answers why the logs cannot be read, when they cannot. */
async function fill(ledger: TokenLedger, wanted: BoundedCollection, start: bigint): Promise<string | undefined> {
  const { address, pool, block, signal } = wanted
  const asking = { atLeast: block.number, ...(signal && { signal }) }
  for (let from = start; from <= block.number; from += WINDOW) {
    const to = from + WINDOW - 1n < block.number ? from + WINDOW - 1n : block.number
    const range = { address, topics: LEDGER_TOPICS, from, to }
    try {
      const logs = await pool.agreed((provider, aborted) => readLogs(provider, range, aborted), fingerprint, asking)
      for (const log of logs) ledger.add(log)
    } catch (error) {
      if (!hasKind(error, 'too-much', 'unsupported')) throw error
      return 'Providers do not answer the logs of the contract.'
    }
    const widest = BigInt(Math.max(...pool.providers.map(({ limits }) => limits.logBlocks)))
    if ((block.number - to) / widest > MOST_CALLS) {
      return `Providers take ${widest} blocks of logs a call, too few for ${block.number - start} blocks.`
    }
  }
  return undefined
}

function fingerprint(logs: readonly Log[]): string {
  const hash = createHash('sha256')
  for (const { block, index, topics, data } of logs) hash.update(`${block} ${index} ${topics.join(' ')} ${data}\n`)
  return hash.digest('base64')
}
