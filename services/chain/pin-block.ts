import type { Abortable } from '../core/block-source.ts'
import { bytesOfHex, numberOfHex, quantityOf, type Hex } from './hex.ts'
import type { ProviderPool } from './provider-pool.ts'
import type { Provider } from './provider.ts'
import { RpcFailure } from './rpc-failure.ts'

/** A block by which all of an answer is read. */
export interface ChainBlock {
  number: bigint
  hash: Hex
}

/** A name of a block that moves, or its number. */
export type BlockTag = 'latest' | 'safe' | 'finalized' | bigint

/**
 * The block as the best provider sees it, whose hash as many must confirm as have to agree.
 * @throws RpcFailure `behind` when no provider has it
 */
export async function pinBlock(pool: ProviderPool, tag: BlockTag, { signal }: Abortable = {}): Promise<ChainBlock> {
  const asking = signal === undefined ? {} : { signal }
  const number =
    typeof tag === 'bigint'
      ? tag
      : (await pool.ask((provider, aborted) => readBlock(provider, tag, aborted), asking)).number
  return await pool.agreed(
    (provider, aborted) => readBlock(provider, quantityOf(number), aborted),
    ({ hash }) => hash,
    { atLeast: number, ...asking },
  )
}

async function readBlock(provider: Provider, block: string, signal: AbortSignal | undefined): Promise<ChainBlock> {
  const found = await provider.call({ method: 'eth_getBlockByNumber', params: [block, false] }, signal)
  const { number, hash } = (found ?? {}) as Record<string, unknown>
  const height = numberOfHex(number)
  if (height === undefined || bytesOfHex(hash)?.length !== 32) {
    throw new RpcFailure('behind', `The provider ${provider.name} does not have the block ${block}.`)
  }
  return { number: height, hash: hash as Hex }
}
