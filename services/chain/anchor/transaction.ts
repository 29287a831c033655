import { Transaction } from 'ethers'
import type { Abortable } from '../../core/block-source.ts'
import type { ChainKey } from '../chain-key.ts'
import { numberOfHex, quantityOf, type Hex } from '../hex.ts'
import type { ProviderPool } from '../provider-pool.ts'
import type { Provider } from '../provider.ts'
import { hasKind, RpcFailure } from '../rpc-failure.ts'

/** A transaction that is signed and can be sent, and sent again. */
export interface SignedTransaction {
  hash: Hex
  raw: Hex
  nonce: number
  /** Wei for a unit of gas, at most; decimal. */
  maxFee: string
}

/** A call of a contract, or an empty transaction when there is no data. */
export interface CallWish extends Abortable {
  pool: ProviderPool
  from: Hex
  to: Hex
  data: Hex
  /** The same transaction as sent before, when it is to be replaced. */
  before?: { maxFee: string } | undefined
}

/** What a call may use, in wei and units of gas. */
export interface CallQuote {
  gasLimit: bigint
  maxFeePerGas: bigint
  maxPriorityFeePerGas: bigint
}

/** Nodes take a replacement from 10 % more on; by an eighth they all do. */
const RAISE_PERCENT = 113n
const GAS_PERCENT = 120n
/** A tip where the provider knows none. */
const USUAL_TIP = 1_000_000_000n

/**
 * What a call may cost (EIP-1559), with room for the base fee to double.
 * @throws RpcFailure `reverted` when the contract refuses
 */
export async function quoteCall(wish: CallWish): Promise<CallQuote> {
  const { from, to, data, before } = wish
  // Not on top of what is pending, as some nodes do by default: a replacement would meet what it is to replace.
  const gas = await quantity(wish, 'eth_estimateGas', [{ from, to, data }, 'latest'])
  const tip = await quantity(wish, 'eth_maxPriorityFeePerGas', []).catch(() => USUAL_TIP)
  const usual = 2n * (await baseFee(wish)) + tip
  const raised = (BigInt(before?.maxFee ?? 0) * RAISE_PERCENT) / 100n
  const maxFeePerGas = usual > raised ? usual : raised
  // A replacement has to raise both fees: the tip stands in the same relation to the whole as before, or higher.
  const maxPriorityFeePerGas = before === undefined ? tip : (maxFeePerGas * tip) / usual + 1n
  return { gasLimit: (gas * GAS_PERCENT) / 100n, maxFeePerGas, maxPriorityFeePerGas }
}

/** Signs a call under a nonce. */
export function signCall(
  key: ChainKey,
  { quote, ...call }: { chainId: number; to: Hex; data: Hex; nonce: number; quote: CallQuote },
): SignedTransaction {
  const transaction = Transaction.from({ type: 2, value: 0n, ...call, ...quote })
  transaction.signature = key.sign(Buffer.from(transaction.unsignedHash.slice(2), 'hex'))
  const { hash, serialized: raw } = transaction
  return { hash: hash as Hex, raw: raw as Hex, nonce: call.nonce, maxFee: String(quote.maxFeePerGas) }
}

/** How clients say that they have the transaction already, or another one of its nonce. */
const TAKEN = /already|\bknown\b|imported|nonce ?(is )?too ?low|old ?nonce|nonce below|replace/i

/**
 * Hands a transaction to the chain, once more if need be: that it is known, or has happened, is no failure.
 * @throws RpcFailure when no provider takes it; its kind is `unreachable` when one may have taken it all the same
 */
export async function sendTransaction(pool: ProviderPool, raw: Hex, { signal }: Abortable = {}): Promise<void> {
  const call = { method: 'eth_sendRawTransaction', params: [raw] }
  let silence: RpcFailure | undefined
  const send = async (provider: Provider, aborted: AbortSignal | undefined): Promise<void> => {
    try {
      await provider.call(call, aborted)
    } catch (error) {
      if (hasKind(error, 'unreachable')) silence = error
      if (!(error instanceof RpcFailure) || !TAKEN.test(error.message)) throw error
    }
  }
  try {
    await pool.ask(send, signal && { signal })
  } catch (error) {
    throw silence ?? error
  }
}

/** Coins of an account in the newest block, in wei. @throws RpcFailure */
export async function balanceOf(pool: ProviderPool, address: Hex, { signal }: Abortable = {}): Promise<bigint> {
  return await quantity({ pool, ...(signal && { signal }) }, 'eth_getBalance', [address, 'latest'])
}

/**
 * Whether none of an account's transactions can ever be in a block: others are finalised under their nonces. Each provider
 * says both, as one that lags has no receipt of what another has finalised; and as many say so as have to agree.
 * @throws RpcFailure
 */
export async function areGone(
  pool: ProviderPool,
  { address, transactions }: { address: Hex; transactions: readonly { hash: string; nonce: number }[] },
  { signal }: Abortable = {},
): Promise<boolean> {
  const areGoneBy = async (provider: Provider, aborted: AbortSignal | undefined): Promise<boolean> => {
    const count = { method: 'eth_getTransactionCount', params: [address, 'finalized'] }
    const next = numberOfHex(await provider.call(count, aborted))
    if (next === undefined || transactions.some(({ nonce }) => nonce >= next)) return false
    for (const { hash } of transactions) {
      const receipt = await provider.call({ method: 'eth_getTransactionReceipt', params: [hash] }, aborted)
      if (receipt !== null) return false
    }
    return true
  }
  return await pool.agreed(areGoneBy, String, signal && { signal })
}

/** Transactions of an account that are in blocks: its next nonce. @throws RpcFailure */
export async function nextNonce(pool: ProviderPool, address: Hex, { signal }: Abortable = {}): Promise<number> {
  return Number(await quantity({ pool, ...(signal && { signal }) }, 'eth_getTransactionCount', [address, 'latest']))
}

async function baseFee({ pool, signal }: Pick<CallWish, 'pool' | 'signal'>): Promise<bigint> {
  const call = { method: 'eth_getBlockByNumber', params: ['latest', false] }
  const block = await pool.ask((provider, aborted) => provider.call(call, aborted), signal ? { signal } : {})
  const fee = numberOfHex((block as { baseFeePerGas?: unknown } | null)?.baseFeePerGas)
  if (fee === undefined) throw new RpcFailure('unsupported', 'The chain has no base fee (EIP-1559).')
  return fee
}

async function quantity(
  { pool, signal }: Pick<CallWish, 'pool' | 'signal'>,
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
