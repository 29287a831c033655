import { createHash } from 'node:crypto'
import type { Hex } from '../hex.ts'
import type { ProviderPool } from '../provider-pool.ts'
import type { Provider } from '../provider.ts'
import { readBlockLogs, readLogs, type Log } from '../read-logs.ts'
import { hasKind, RpcFailure } from '../rpc-failure.ts'
import { tellsOf } from './bloom.ts'
import type { Header } from './header.ts'

export interface LogFilter {
  /** In lower case. */
  addresses: readonly Hex[]
  /** Any of these first topics. */
  topics: readonly Hex[]
}

/** Providers take so many addresses in one filter; of more contracts the logs of all are asked for, and sorted out here. */
const MOST_ADDRESSES = 1_000
const MOST_AGAIN = 3

/**
 * The logs of one block, as many providers agree on them. An answer without logs is asked for again where the block's own
 * filter says that there are some: servers that have a block before they have its logs answer that there are none.
 * Of a contract whose logs in this block are more than providers answer there is one log without topics.
 * @throws RpcFailure `behind` when the block is not on the chain any more
 */
export async function readLogsOfBlock(
  pool: ProviderPool,
  { number, hash, bloom }: Header,
  filter: LogFilter,
  signal?: AbortSignal,
): Promise<Log[]> {
  const { topics, addresses } = filter
  if (addresses.length === 0) return []
  const ask = (address: readonly Hex[] | undefined): Promise<Log[]> =>
    pool.agreed(
      async (provider, aborted) => {
        const logs = await readBlockLogs(provider, { address, topics, blockHash: hash }, aborted)
        if (logs.some((log) => log.block !== number || log.blockHash !== hash)) throw strayed(provider)
        return logs
      },
      fingerprint,
      signal === undefined ? {} : { signal },
    )
  const askAll = (): Promise<Log[]> => ask(addresses.length > MOST_ADDRESSES ? undefined : addresses)
  try {
    let logs = await askAll()
    if (logs.length === 0 && bloom !== undefined && tellsOf(bloom, addresses, topics)) {
      for (let again = 0; logs.length === 0 && again < MOST_AGAIN; again++) logs = await askAll()
    }
    return wantedOf(logs, filter)
  } catch (error) {
    if (!hasKind(error, 'too-much')) throw error
  }
  const each: Log[] = []
  for (const address of addresses) {
    try {
      each.push(...wantedOf(await ask([address]), filter))
    } catch (error) {
      if (!hasKind(error, 'too-much')) throw error
      each.push({ address, block: number, blockHash: hash, index: 0n, topics: [], data: '0x' })
    }
  }
  return each
}

/**
 * The logs of blocks that are final, both ends included. They are asked for until two answers are alike, since nothing in a
 * range tells that an answer without logs is not true.
 * @throws RpcFailure
 */
export async function readLogsOfRange(
  pool: ProviderPool,
  { from, to }: { from: bigint; to: bigint },
  filter: LogFilter,
  signal?: AbortSignal,
): Promise<Log[]> {
  const { topics, addresses } = filter
  if (addresses.length === 0) return []
  const address = addresses.length > MOST_ADDRESSES ? undefined : addresses
  const ask = (): Promise<Log[]> =>
    pool.agreed((provider, aborted) => readLogs(provider, { address, topics, from, to }, aborted), fingerprint, {
      atLeast: to,
      ...(signal && { signal }),
    })
  let before = await ask()
  for (let again = 0; again < MOST_AGAIN; again++) {
    const logs = await ask()
    if (fingerprint(logs) === fingerprint(before)) {
      return wantedOf(logs, filter).filter(({ block }) => block >= from && block <= to)
    }
    before = logs
  }
  throw new RpcFailure('unreachable', 'Providers of the chain answer other logs each time.')
}

/** A filter is the provider's word. */
function wantedOf(logs: readonly Log[], { addresses, topics }: LogFilter): Log[] {
  const [wantedAddresses, wantedTopics] = [new Set<string>(addresses), new Set<string>(topics)]
  return logs.filter((log) => wantedAddresses.has(log.address) && wantedTopics.has(log.topics[0] ?? ''))
}

function strayed({ name }: Provider): RpcFailure {
  return new RpcFailure('unreachable', `The provider ${name} answers logs of another block.`)
}

function fingerprint(logs: readonly Log[]): string {
  const hash = createHash('sha256')
  for (const { address, block, index, topics, data } of logs) {
    hash.update(`${address} ${block} ${index} ${topics.join(' ')} ${data}\n`)
  }
  return hash.digest('base64')
}
