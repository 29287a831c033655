import { Transaction } from 'ethers'
import type { Abortable } from '../../core/block-source.ts'
import type { ChainKey } from '../chain-key.ts'
import { numberOfHex, quantityOf, type Hex } from '../hex.ts'
import type { ProviderPool } from '../provider-pool.ts'
import { RpcFailure } from '../rpc-failure.ts'

/** A transaction that is signed and can be sent, and sent again. */
export interface SignedTransaction {
  hash: Hex
  raw: Hex
  nonce: number
  /** Wei for a unit of gas, at most; decimal. */
  maxFee: string
}

export interface TransactionWish extends Abortable {
  pool: ProviderPool
  key: ChainKey
  chainId: number
  to: Hex
  data: Hex
  nonce: number
  /** The same transaction as sent before, when it is to be replaced. */
  before?: { maxFee: string } | undefined
}

/** Nodes take a replacement from 10 % more on; by an eighth they all do. */
const RAISE_PERCENT = 113n
const GAS_PERCENT = 120n
/** A tip where the provider knows none. */
const USUAL_TIP = 1_000_000_000n

/**
 * Signs a call of a contract (EIP-1559) with room for the base fee to double.
 * @throws RpcFailure `reverted` when the contract refuses
 */
export async function signCall(wish: TransactionWish): Promise<SignedTransaction> {
  const { key, chainId, to, data, nonce } = wish
  const gas = await quantity(wish, 'eth_estimateGas', [{ from: key.address, to, data }])
  const tip = await quantity(wish, 'eth_maxPriorityFeePerGas', []).catch(() => USUAL_TIP)
  const usual = 2n * (await baseFee(wish)) + tip
  const raised = (BigInt(wish.before?.maxFee ?? 0) * RAISE_PERCENT) / 100n
  const maxFeePerGas = usual > raised ? usual : raised
  // A replacement has to raise both fees: the tip stands in the same relation to the whole as before, or higher.
  const maxPriorityFeePerGas = wish.before === undefined ? tip : (maxFeePerGas * tip) / usual + 1n
  const gasLimit = (gas * GAS_PERCENT) / 100n
  const fees = { maxFeePerGas, maxPriorityFeePerGas, gasLimit }
  const transaction = Transaction.from({ type: 2, chainId, to, data, nonce, value: 0n, ...fees })
  transaction.signature = key.sign(Buffer.from(transaction.unsignedHash.slice(2), 'hex'))
  return { hash: transaction.hash as Hex, raw: transaction.serialized as Hex, nonce, maxFee: String(maxFeePerGas) }
}

/**
 * Hands a transaction to the chain, once more if need be: that it is known, or has happened, is no failure.
 * @throws RpcFailure when no provider takes it
 */
export async function sendTransaction(pool: ProviderPool, raw: Hex, { signal }: Abortable = {}): Promise<void> {
  const call = { method: 'eth_sendRawTransaction', params: [raw] }
  try {
    await pool.ask((provider, aborted) => provider.call(call, aborted), signal === undefined ? {} : { signal })
  } catch (error) {
    if (!(error instanceof RpcFailure) || !/already|known|imported|nonce too low|underpriced/i.test(error.message)) {
      throw error
    }
  }
}

/** Transactions of an account that are in blocks up to that one: its next nonce. */
export async function nextNonce(
  pool: ProviderPool,
  address: Hex,
  block: 'latest' | 'finalized',
  { signal }: Abortable = {},
): Promise<number> {
  return Number(await quantity({ pool, ...(signal && { signal }) }, 'eth_getTransactionCount', [address, block]))
}

async function baseFee({ pool, signal }: Pick<TransactionWish, 'pool' | 'signal'>): Promise<bigint> {
  const call = { method: 'eth_getBlockByNumber', params: ['latest', false] }
  const block = await pool.ask((provider, aborted) => provider.call(call, aborted), signal ? { signal } : {})
  const fee = numberOfHex((block as { baseFeePerGas?: unknown } | null)?.baseFeePerGas)
  if (fee === undefined) throw new RpcFailure('unsupported', 'The chain has no base fee (EIP-1559).')
  return fee
}

async function quantity(
  { pool, signal }: Pick<TransactionWish, 'pool' | 'signal'>,
  method: string,
  params: readonly unknown[],
): Promise<bigint> {
  const call = { method, params }
  const found = await pool.ask((provider, aborted) => provider.call(call, aborted), signal ? { signal } : {})
  const value = numberOfHex(found)
  if (value === undefined) throw new RpcFailure('unreachable', `A provider answers ${method} with no number.`)
  return value
}

/** The number of a chain (EIP-155). @throws RpcFailure */
export async function chainIdOf(pool: ProviderPool, { signal }: Abortable = {}): Promise<number> {
  return Number(await quantity({ pool, ...(signal && { signal }) }, 'eth_chainId', []))
}

/** What lies at an address; `0x` for nothing. @throws RpcFailure */
export async function codeAt(pool: ProviderPool, address: Hex, { signal }: Abortable = {}): Promise<Hex> {
  const call = { method: 'eth_getCode', params: [address, 'latest'] }
  const code = await pool.ask((provider, aborted) => provider.call(call, aborted), signal ? { signal } : {})
  return typeof code === 'string' ? (code as Hex) : quantityOf(0)
}
