import { numberOfHex, quantityOf, type Hex } from './hex.ts'
import type { Provider } from './provider.ts'
import { hasKind, RpcFailure } from './rpc-failure.ts'

export interface LogsWanted {
  /** Undefined: of any contract. */
  address: Hex | readonly Hex[] | undefined
  /** Any of these first topics. */
  topics: readonly Hex[]
  /** Both ends are included. */
  from: bigint
  to: bigint
}

export interface Log {
  /** Of the contract, in lower case. */
  address: Hex
  block: bigint
  blockHash: string
  /** Within the block. */
  index: bigint
  topics: readonly string[]
  data: string
}

/** The widest range that is asked for, in blocks. */
const WIDEST = 1n << 20n
/** A range is not widened further when less than this part of it could be gained. */
const NEARLY = 10n
/** Ranges that were answered until a wider one is tried again than was refused. */
const TRY_WIDER_AFTER = 32

/**
 * The logs of contracts in the order of the chain. How many blocks the provider takes at once is learned from what it
 * refuses: some limit the range, others the results.
 * @throws RpcFailure `too-much` when it refuses even one block
 */
export async function readLogs(provider: Provider, wanted: LogsWanted, signal?: AbortSignal): Promise<Log[]> {
  const { limits } = provider
  const logs: Log[] = []
  let answered = 0n
  let refused = WIDEST + 1n
  let sinceRefused = 0
  for (let from = wanted.from; from <= wanted.to;) {
    const span = BigInt(limits.logBlocks)
    const to = from + span - 1n < wanted.to ? from + span - 1n : wanted.to
    try {
      // Not by spreading: one answer may hold more logs than a call takes arguments.
      for (const log of await readRange(provider, { ...wanted, from, to }, signal)) logs.push(log)
      from = to + 1n
      answered = span
      sinceRefused += 1
      if (sinceRefused % TRY_WIDER_AFTER === 0) refused = WIDEST + 1n
    } catch (error) {
      const asked = to - from + 1n
      if (!hasKind(error, 'too-much') || asked === 1n) throw error
      refused = asked
      if (answered >= refused) answered = 0n
    }
    limits.logBlocks = Number(between(answered, refused))
  }
  return logs
}

/** Twice as many blocks as were answered, or half the way to what was refused, until that is nearly the same. */
function between(answered: bigint, refused: bigint): bigint {
  if (answered > 0n && answered * 2n < refused) return answered * 2n
  return (refused - answered) * NEARLY > refused ? (answered + refused) / 2n : answered
}

async function readRange(
  provider: Provider,
  { address, topics, from, to }: LogsWanted,
  signal: AbortSignal | undefined,
): Promise<Log[]> {
  return await askLogs(
    provider,
    { address, topics: [topics], fromBlock: quantityOf(from), toBlock: quantityOf(to) },
    signal,
  )
}

/** The logs of one block, by its hash (EIP-234): a provider that does not have it fails. @throws RpcFailure */
export function readBlockLogs(
  provider: Provider,
  { address, topics, blockHash }: Pick<LogsWanted, 'address' | 'topics'> & { blockHash: Hex },
  signal?: AbortSignal,
): Promise<Log[]> {
  return askLogs(provider, { address, topics: [topics], blockHash }, signal)
}

async function askLogs(provider: Provider, filter: object, signal: AbortSignal | undefined): Promise<Log[]> {
  const answer = await provider.call({ method: 'eth_getLogs', params: [filter] }, signal)
  if (!Array.isArray(answer)) throw new RpcFailure('unreachable', `The provider ${provider.name} answers no logs.`)
  return answer.map((log) => logOf(provider, log))
}

function logOf({ name }: Provider, value: unknown): Log {
  const { address, blockNumber, blockHash, logIndex, topics, data } = (value ?? {}) as Record<string, unknown>
  const [block, index] = [numberOfHex(blockNumber), numberOfHex(logIndex)]
  const isPlaced = block !== undefined && index !== undefined && typeof blockHash === 'string'
  if (!isPlaced || typeof address !== 'string' || !Array.isArray(topics) || typeof data !== 'string') {
    throw new RpcFailure('unreachable', `The provider ${name} answers logs that are none.`)
  }
  return { address: address.toLowerCase() as Hex, block, blockHash, index, topics: topics.map(String), data }
}
