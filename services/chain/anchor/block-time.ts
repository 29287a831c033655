import type { Abortable } from '../../core/block-source.ts'
import { numberOfHex } from '../hex.ts'
import type { ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import { RpcFailure } from '../rpc-failure.ts'

/** When a block was made: seconds since 1970. @throws RpcFailure `behind` when no provider has it */
export async function blockTime(
  pool: ProviderPool,
  { hash, number }: ChainBlock,
  { signal }: Abortable = {},
): Promise<number> {
  return await pool.agreed(
    async (provider, aborted) => {
      const found = await provider.call({ method: 'eth_getBlockByHash', params: [hash, false] }, aborted)
      const time = numberOfHex((found as { timestamp?: unknown } | null)?.timestamp)
      if (time === undefined)
        throw new RpcFailure('behind', `The provider ${provider.name} does not have the block ${hash}.`)
      return Number(time)
    },
    String,
    { atLeast: number, ...(signal && { signal }) },
  )
}
