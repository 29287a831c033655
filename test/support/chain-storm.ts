import type { Hex } from '../../services/chain/hex.ts'
import type { TestChain } from './anvil.ts'
import { callOf } from './contract-call.ts'
import type { Random } from './seeded-random.ts'

/** The first of the accounts that anvil makes and unlocks. */
export const SENDER = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266'

export interface StormOptions {
  random: Random
  maxDepth: number
  /** Blocks up to this one stay. */
  floor: bigint
  /** What the so-manieth transaction lets a token point to. */
  uri?: (place: number) => string
}

/** A chain whose blocks are made when the test says so, and which is reorganised at random. */
export class ChainStorm {
  readonly chain: TestChain
  readonly #random: Random
  readonly #addresses: readonly Hex[]
  readonly #maxDepth: number
  readonly #uri: (place: number) => string
  readonly #floor: bigint
  #next = 0
  reorgs = 0

  constructor(
    chain: TestChain,
    addresses: readonly Hex[],
    { random, maxDepth, floor, uri = (place) => `u${place}` }: StormOptions,
  ) {
    this.chain = chain
    this.#addresses = addresses
    this.#random = random
    this.#maxDepth = maxDepth
    this.#floor = floor
    this.#uri = uri
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  /** A transaction of a kind of its own chance. */
  #transaction(): { from: string; to: Hex; data: string; gas: string } {
    const to = this.#addresses[this.#below(this.#addresses.length)] as Hex
    const id = this.#below(12)
    const uri = this.#uri(this.#next++)
    const data = [
      callOf('mintAs(uint256,string)', id, uri),
      callOf('setTokenURI(uint256,string)', id, uri),
      callOf('setTokenURI(uint256,string)', id, uri),
      callOf('burn(uint256)', id),
    ][this.#below(4)] as string
    return { from: SENDER, to, data, gas: '0xf4240' }
  }

  async #call(method: string, ...params: unknown[]): Promise<unknown> {
    return await this.chain.rpc.call({ method, params })
  }

  /** One thing that happens to the chain: mostly a block or some, now and then a reorganisation. */
  async step(): Promise<void> {
    const dice = this.#random()
    const height = Number((await this.chain.head()).number - this.#floor)
    const depth = Math.min(height, 1 + this.#below(this.#random() < 0.8 ? 6 : this.#maxDepth))
    if (dice < 0.75 || depth < 1) {
      for (let count = this.#below(4); count > 0; count--) await this.#call('eth_sendTransaction', this.#transaction())
      await this.#call('anvil_mine', `0x${(1 + this.#below(3)).toString(16)}`)
      return
    }
    this.reorgs += 1
    if (dice < 0.82) {
      await this.#call('anvil_rollback', depth)
      return
    }
    const pairs = Array.from({ length: dice < 0.9 ? 0 : this.#below(4) }, () => [
      this.#transaction(),
      this.#below(depth),
    ])
    await this.#call('anvil_reorg', depth, pairs)
  }
}
