import type { CallAt } from './call-at.ts'
import { quantityOf, type Hex } from './hex.ts'
import { hasKind } from './rpc-failure.ts'

/**
 * The first block at which an address has code, found by halving; undefined when providers keep no state so old. Code that
 * was destroyed and made again may lead to the later block.
 * @param at a block at which it has code
 */
export async function creationBlock(address: Hex, { pool, block, signal }: CallAt): Promise<bigint | undefined> {
  let [none, some] = [-1n, block.number]
  try {
    while (some - none > 1n) {
      const middle = (none + some) / 2n
      if (await hasCode(middle)) some = middle
      else none = middle
    }
    return some
  } catch (error) {
    if (hasKind(error, 'behind', 'refused', 'unsupported')) return undefined
    throw error
  }

  async function hasCode(number: bigint): Promise<boolean> {
    return await pool.ask(
      async (provider, aborted) => {
        const code = await provider.call({ method: 'eth_getCode', params: [address, quantityOf(number)] }, aborted)
        return typeof code === 'string' && code.length > 2
      },
      { atLeast: block.number, ...(signal && { signal }) },
    )
  }
}
