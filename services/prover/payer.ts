import { nextNonce, balanceOf, chainIdOf, quoteCall, sendTransaction, signCall } from '../chain/anchor/transaction.ts'
import type { CallQuote } from '../chain/anchor/transaction.ts'
import type { ChainKey } from '../chain/chain-key.ts'
import type { Hex } from '../chain/hex.ts'
import { pinBlock, type ChainBlock } from '../chain/pin-block.ts'
import type { ProviderPool } from '../chain/provider-pool.ts'
import { remembered } from '../chain/remembered.ts'
import { Gate } from './gate.ts'
import { poverty } from './hindrance.ts'

export interface PayerOptions {
  pool: ProviderPool
  key: ChainKey
  /** How old what is known of the chain may be. */
  lookMs: number
  /** A transaction that is in no block for so long is sent again with a higher fee. */
  replaceAfterMs: number
  signal: AbortSignal
}

/** Pauses of a gate, in looks: 16 s and 5 min. */
const FIRST_PAUSE_LOOKS = 4
const LONGEST_PAUSE_LOOKS = 75

/**
 * The account that pays for all anchors of a service. What its proofs have in common is looked up once for all of them.
 */
export class Payer {
  readonly address: Hex
  readonly key: ChainKey
  readonly lookMs: number
  readonly replaceAfterMs: number
  /** Its next nonce. */
  readonly next: () => Promise<number>
  readonly latest: () => Promise<ChainBlock>
  readonly finalized: () => Promise<ChainBlock>
  readonly chainId: () => Promise<number>
  readonly #pool: ProviderPool
  readonly #signal: AbortSignal
  readonly #gates = new Map<string, Gate>()
  #filled: { nonce: number; at: number; maxFee: string } | undefined

  constructor({ pool, key, lookMs, replaceAfterMs, signal }: PayerOptions) {
    this.key = key
    this.address = key.address
    this.lookMs = lookMs
    this.replaceAfterMs = replaceAfterMs
    this.#pool = pool
    this.#signal = signal
    this.next = remembered(lookMs, () => nextNonce(pool, key.address, { signal }))
    this.latest = remembered(lookMs, () => pinBlock(pool, 'latest', { signal }))
    this.finalized = remembered(lookMs, () => pinBlock(pool, 'finalized', { signal }))
    this.chainId = remembered(lookMs, () => chainIdOf(pool, { signal }))
  }

  /** What anchors in one contract that were not sent have to pass. */
  gateOf(contract: string): Gate {
    const gate =
      this.#gates.get(contract) ??
      new Gate({ firstMs: FIRST_PAUSE_LOOKS * this.lookMs, longestMs: LONGEST_PAUSE_LOOKS * this.lookMs })
    this.#gates.set(contract, gate)
    return gate
  }

  /**
   * @param quote undefined: whether there is anything at all
   * @throws AnchorHindrance when there is not enough money; RpcFailure
   */
  async refuseWithoutMoney(quote?: CallQuote): Promise<void> {
    const balance = await balanceOf(this.#pool, this.address, { signal: this.#signal })
    const cost = quote && quote.gasLimit * quote.maxFeePerGas
    if (balance >= (cost ?? 1n)) return
    throw poverty({ address: this.address, chainId: await this.chainId() }, { balance, cost })
  }

  /**
   * Fills a gap that transactions wait behind with one that does nothing. Whatever else there is under that nonce, only
   * one of them can come into the chain.
   */
  async fill(nonce: number): Promise<void> {
    const before = this.#filled?.nonce === nonce ? this.#filled : undefined
    if (before !== undefined && performance.now() - before.at < this.replaceAfterMs) return
    const signal = this.#signal
    const empty = { to: this.address, data: '0x' as const }
    const quote = await quoteCall({ pool: this.#pool, from: this.address, ...empty, before, signal })
    await this.refuseWithoutMoney(quote)
    const { raw, maxFee } = signCall(this.key, { ...empty, chainId: await this.chainId(), nonce, quote })
    this.#filled = { nonce, at: performance.now(), maxFee }
    await sendTransaction(this.#pool, raw, { signal })
  }
}
