import type { Abortable } from '../core/block-source.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import { pinBlock, WITHIN_BLOCKS, type ChainBlock } from './pin-block.ts'
import type { ProviderPool } from './provider-pool.ts'
import { remembered } from './remembered.ts'

/**
 * The newest final block, asked for once for all who want it at a time. It does not go back a little, as it would when the
 * next ones to be asked have not heard of the latest.
 */
export class FinalBlock {
  readonly #pool: ProviderPool
  readonly #present: () => Promise<ChainBlock>
  #newest: ChainBlock | undefined

  /** @param ageMs how long it counts before it is asked for again */
  constructor(pool: ProviderPool, ageMs: number) {
    this.#pool = pool
    this.#present = remembered(ageMs, () => this.#ask())
  }

  /** @throws as {@link pinBlock}; the signal's reason */
  async get({ signal }: Abortable = {}): Promise<ChainBlock> {
    return await unlessAborted(this.#present(), signal)
  }

  async #ask(): Promise<ChainBlock> {
    const found = await pinBlock(this.#pool, 'finalized')
    const behind = (this.#newest?.number ?? 0n) - found.number
    if (this.#newest === undefined || behind <= 0n || behind > WITHIN_BLOCKS) this.#newest = found
    return this.#newest
  }
}
