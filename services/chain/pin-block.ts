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
 * How far apart providers may be that tell the same: finality moves by an epoch of 32 blocks, and one of them may not
 * have seen the last of these. A provider that lies can thus hold a reader back by less than half an hour.
 */
export const WITHIN_BLOCKS = 128n

/**
 * The block that a name stands for, or that has the number: as many providers as have to agree have reached it, and
 * confirm its hash.
 * @throws RpcFailure `behind` when no provider has it, `refused` when too few agree
 */
export async function pinBlock(pool: ProviderPool, tag: BlockTag, { signal }: Abortable = {}): Promise<ChainBlock> {
  const asking = signal === undefined ? {} : { signal }
  const number =
    typeof tag === 'bigint'
      ? tag
      : await pool.agreedHeight(
          async (provider, aborted) => (await readBlock(provider, tag, aborted)).number,
          WITHIN_BLOCKS,
          asking,
        )
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
