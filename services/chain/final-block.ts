import type { Abortable } from '../core/block-source.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import { pinBlock, WITHIN_BLOCKS, type ChainBlock } from './pin-block.ts'
import type { ProviderPool } from './provider-pool.ts'

/**
 * The newest final block, asked for once for all who want it at a time. It does not go back a little, as it would when the
 * next ones to be asked have not heard of the latest.
 */
export class FinalBlock {
  readonly #pool: ProviderPool
  readonly #ageMs: number
  #asked: { at: number; block: Promise<ChainBlock> } | undefined
  #newest: ChainBlock | undefined

  /** @param ageMs how long it counts before it is asked for again */
  constructor(pool: ProviderPool, ageMs: number) {
    this.#pool = pool
    this.#ageMs = ageMs
  }

  /** @throws as {@link pinBlock}; the signal's reason */
  async get({ signal }: Abortable = {}): Promise<ChainBlock> {
    if (this.#asked === undefined || performance.now() - this.#asked.at >= this.#ageMs) {
      const asked = { at: performance.now(), block: this.#ask() }
      this.#asked = asked
      asked.block.catch(() => {
        if (this.#asked === asked) this.#asked = undefined
      })
    }
    return await unlessAborted(this.#asked.block, signal)
  }

  async #ask(): Promise<ChainBlock> {
    const found = await pinBlock(this.#pool, 'finalized')
    const behind = (this.#newest?.number ?? 0n) - found.number
    if (this.#newest === undefined || behind <= 0n || behind > WITHIN_BLOCKS) this.#newest = found
    return this.#newest
  }
}
