import type { CallAt } from './call-at.ts'
import type { RpcCall } from './json-rpc.ts'
import { hasKind } from './rpc-failure.ts'

/**
 * The results of several calls that each name their block by hash, as many providers agree on all of them; undefined for
 * those that the contract refused.
 * @throws RpcFailure when a call failed for another reason
 */
export function callMany(calls: readonly RpcCall[], { pool, block, signal }: CallAt): Promise<(string | undefined)[]> {
  return pool.agreed(
    async (provider, aborted) =>
      (await provider.batch(calls, aborted)).map((result) => {
        if ('result' in result) return typeof result.result === 'string' ? result.result : undefined
        const { failure } = result
        if (hasKind(failure, 'reverted', 'too-much')) return undefined
        throw failure as Error
      }),
    (answers) => JSON.stringify(answers),
    { atLeast: block.number, ...(signal && { signal }) },
  )
}
