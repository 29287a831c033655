import type { Abortable } from '../../core/block-source.ts'
import { bytesOfHex, numberOfHex, type Hex } from '../hex.ts'
import type { ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import type { Provider } from '../provider.ts'
import { RpcFailure } from '../rpc-failure.ts'
import type { AnchorLog } from './anchor-call.ts'

/** What became of a transaction, in the chain as a provider sees it now. */
export interface Receipt {
  block: ChainBlock
  /** Lower-case. */
  from: string
  hasSucceeded: boolean
  logs: AnchorLog[]
}

/** Undefined while the transaction is in no block; as many providers say so as have to agree. @throws RpcFailure */
export async function receiptOf(
  pool: ProviderPool,
  hash: string,
  { signal }: Abortable = {},
): Promise<Receipt | undefined> {
  return await pool.agreed((provider, aborted) => receiptBy(provider, hash, aborted), fingerprint, signal && { signal })
}

/** Providers add what they like to a receipt, and to its logs. */
function fingerprint(receipt: Receipt | undefined): string {
  if (receipt === undefined) return ''
  const { block, from, hasSucceeded, logs } = receipt
  const said = logs.map(({ address, topics }) => [address.toLowerCase(), topics])
  return JSON.stringify([block.hash, from, hasSucceeded, said])
}

async function receiptBy(
  provider: Provider,
  hash: string,
  signal: AbortSignal | undefined,
): Promise<Receipt | undefined> {
  const found = await provider.call({ method: 'eth_getTransactionReceipt', params: [hash] }, signal)
  if (found === null || found === undefined) return undefined
  const { blockNumber, blockHash, from, status, logs } = found as Record<string, unknown>
  const number = numberOfHex(blockNumber)
  if (number === undefined || bytesOfHex(blockHash)?.length !== 32 || !Array.isArray(logs)) {
    throw new RpcFailure('unreachable', 'A provider answers a receipt that is none.')
  }
  const block = { number, hash: blockHash as Hex }
  const hasSucceeded = status === '0x1'
  return { block, from: String(from).toLowerCase(), hasSucceeded, logs: logs as AnchorLog[] }
}
