import type { Abortable } from '../core/block-source.ts'
import { quantityOf, type Hex } from './hex.ts'
import type { ChainBlock } from './pin-block.ts'
import type { ProviderPool } from './provider-pool.ts'
import { hasKind, RpcFailure } from './rpc-failure.ts'

export interface CallAt extends Abortable {
  pool: ProviderPool
  block: ChainBlock
}

/** What a contract returned, or the reason that it gave when it refused; both hex. */
export type CallAnswer = { returned: string } | { returned?: undefined; reason: string }

/** Calls a contract at one block, as many providers agree on the answer. @throws RpcFailure when they do not */
export function callAt(to: Hex, data: Hex, { pool, block, signal }: CallAt): Promise<CallAnswer> {
  return pool.agreed<CallAnswer>(
    async (provider, aborted) => {
      const params = [{ to, data, gas: quantityOf(provider.limits.callGas) }, { blockHash: block.hash }]
      try {
        const returned = await provider.call({ method: 'eth_call', params }, aborted)
        if (typeof returned === 'string') return { returned }
        throw new RpcFailure('unreachable', `The provider ${provider.name} answers calls with no text.`)
      } catch (error) {
        // A call that eats all gas is the contract's doing, like one that reverts.
        if (hasKind(error, 'reverted', 'too-much')) return { reason: error.data ?? '' }
        throw error
      }
    },
    (answer) => answer.returned ?? `reverted ${answer.reason}`,
    { atLeast: block.number, ...(signal && { signal }) },
  )
}
