import { bytesOfHex, numberOfHex, quantityOf, type Hex } from '../hex.ts'
import type { ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import type { Provider } from '../provider.ts'
import { RpcFailure } from '../rpc-failure.ts'

export interface Header extends ChainBlock {
  parentHash: Hex
  /** Seconds since 1970, by the chain. */
  time: number
  /** 256 bytes; undefined where there is none, or it is empty: there are chains and providers that leave it so. */
  bloom: Buffer | undefined
}

/** The newest block of the best provider, confirmed by as many as must agree. @throws RpcFailure */
export async function readHead(pool: ProviderPool, signal?: AbortSignal): Promise<Header> {
  const head = await pool.ask((provider, aborted) => read(provider, 'latest', aborted), asking(signal))
  return pool.quorum === 1 ? head : await readHeader(pool, head.number, signal)
}

/** The newest block that any provider has: one of them may have stopped, and be the quickest. @throws RpcFailure */
export async function readHighestHead(pool: ProviderPool, signal?: AbortSignal): Promise<Header> {
  const heads = await Promise.allSettled(pool.providers.map((provider) => read(provider, 'latest', signal)))
  const found = heads.flatMap((head) => (head.status === 'fulfilled' ? [head.value] : []))
  const [first, ...others] = found
  if (first === undefined) return await readHead(pool, signal)
  const highest = others.reduce((best, head) => (head.number > best.number ? head : best), first)
  return pool.quorum === 1 ? highest : await readHeader(pool, highest.number, signal)
}

/** A block of the chain as it is now. @throws RpcFailure `behind` when no provider has it */
export function readHeader(pool: ProviderPool, number: bigint, signal?: AbortSignal): Promise<Header> {
  return agreed(pool, quantityOf(number), signal)
}

/** The newest block that is called final. Some chains call each block so. @throws RpcFailure */
export async function readFinal(pool: ProviderPool, signal?: AbortSignal): Promise<bigint> {
  return (await pool.ask((provider, aborted) => read(provider, 'finalized', aborted), asking(signal))).number
}

function agreed(pool: ProviderPool, block: string, signal: AbortSignal | undefined): Promise<Header> {
  return pool.agreed(
    (provider, aborted) => read(provider, block, aborted),
    ({ hash }) => hash,
    asking(signal),
  )
}

function asking(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

async function read(provider: Provider, block: string, signal: AbortSignal | undefined): Promise<Header> {
  const found = await provider.call({ method: 'eth_getBlockByNumber', params: [block, false] }, signal)
  const { number, hash, parentHash, timestamp, logsBloom } = (found ?? {}) as Record<string, unknown>
  const height = numberOfHex(number)
  if (height === undefined || !isHash(hash) || !isHash(parentHash)) {
    throw new RpcFailure('behind', `The provider ${provider.name} does not have the block ${block}.`)
  }
  const bloom = bytesOfHex(logsBloom)
  return {
    number: height,
    hash,
    parentHash,
    time: Number(numberOfHex(timestamp) ?? 0n),
    bloom: bloom?.length === 256 && bloom.some((byte) => byte !== 0) ? bloom : undefined,
  }
}

function isHash(value: unknown): value is Hex {
  return bytesOfHex(value)?.length === 32
}
