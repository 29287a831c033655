import { numberOfHex, quantityOf, type Hex } from './hex.ts'
import type { Provider } from './provider.ts'
import { hasKind, RpcFailure } from './rpc-failure.ts'

export interface LogsWanted {
  address: Hex
  /** Any of these first topics. */
  topics: readonly Hex[]
  /** Both ends are included. */
  from: bigint
  to: bigint
}

export interface Log {
  block: bigint
  /** Within the block. */
  index: bigint
  topics: readonly string[]
  data: string
}

/** The widest range that is asked for, in blocks. */
const WIDEST = 1n << 20n
/** Ranges that were answered until a wider one is tried again than was refused. */
const TRY_WIDER_AFTER = 32

/**
 * The logs of a contract in the order of the chain. How many blocks the provider takes at once is learned from what it
 * refuses: some limit the range, others the results.
 * @throws RpcFailure `too-much` when it refuses even one block
 */
export async function readLogs(provider: Provider, wanted: LogsWanted, signal?: AbortSignal): Promise<Log[]> {
  const { limits } = provider
  const logs: Log[] = []
  let refused = WIDEST * 2n
  let answered = 0
  for (let from = wanted.from; from <= wanted.to;) {
    const span = BigInt(limits.logBlocks)
    const to = from + span - 1n < wanted.to ? from + span - 1n : wanted.to
    try {
      // Not by spreading: one answer may hold more logs than a call takes arguments.
      for (const log of await readRange(provider, { ...wanted, from, to }, signal)) logs.push(log)
      from = to + 1n
      answered += 1
      if (answered % TRY_WIDER_AFTER === 0) refused = WIDEST * 2n
      if (span * 2n < refused) limits.logBlocks = Number(span * 2n < WIDEST ? span * 2n : WIDEST)
    } catch (error) {
      const asked = to - from + 1n
      if (!hasKind(error, 'too-much') || asked === 1n) throw error
      refused = asked
      limits.logBlocks = Number(asked / 2n)
    }
  }
  return logs
}

async function readRange(
  provider: Provider,
  { address, topics, from, to }: LogsWanted,
  signal: AbortSignal | undefined,
): Promise<Log[]> {
  const filter = { address, topics: [topics], fromBlock: quantityOf(from), toBlock: quantityOf(to) }
  const answer = await provider.call({ method: 'eth_getLogs', params: [filter] }, signal)
  if (!Array.isArray(answer)) throw new RpcFailure('unreachable', `The provider ${provider.name} answers no logs.`)
  return answer.map((log) => logOf(provider, log))
}

function logOf({ name }: Provider, value: unknown): Log {
  const { blockNumber, logIndex, topics, data } = (value ?? {}) as Record<string, unknown>
  const [block, index] = [numberOfHex(blockNumber), numberOfHex(logIndex)]
  if (block === undefined || index === undefined || !Array.isArray(topics) || typeof data !== 'string') {
    throw new RpcFailure('unreachable', `The provider ${name} answers logs that are none.`)
  }
  return { block, index, topics: topics.map(String), data }
}
