import { TOPICS } from '../../contracts-abi/index.ts'
import { readFinal } from '../../services/chain/follow/header.ts'
import { nextStep, type KnownChain, type Step } from '../../services/chain/follow/follow-chain.ts'
import { blocksToKeep } from '../../services/chain/follow/known-chain.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { Log } from '../../services/chain/read-logs.ts'
import { hasKind } from '../../services/chain/rpc-failure.ts'
import { startChain } from './anvil.ts'
import { ChainStorm } from './chain-storm.ts'
import { openZoo, type Zoo } from './rpc-zoo.ts'
import { seededRandom, type Random } from './seeded-random.ts'

const WANTED = [TOPICS['Transfer(address,address,uint256)'], TOPICS['MetadataUpdate(uint256)']]
const OPERATIONS = 80
const MAX_DEPTH = 64

export interface StormOutcome {
  missing: string[]
  extra: string[]
  /** Logs that the chain has at the end. */
  logs: number
  reorgs: number
  /** Times that what counted as final was reorganised. */
  broken: number
  /** Blocks whose logs were not asked for, since their filters rule them out. */
  saved: number
  /** Times that filters did not tell of logs that blocks have. */
  wrongFilters: number
}

/** Follows a chain that is reorganised at random, and holds what is left of the logs against those of the chain. */
export async function stormOnce(seed: number): Promise<StormOutcome> {
  await using stack = new AsyncDisposableStack()
  const chain = stack.use(await startChain())
  const addresses = [await chain.deploy('FixtureEvents'), await chain.deploy('FixtureEvents')]
  // Of blocks that have only logs of these none are asked for.
  const others = [await chain.deploy('FixtureEvents'), await chain.deploy('FixtureEvents')]
  await chain.rpc.call({ method: 'evm_setAutomine', params: [false] })
  const random = seededRandom(seed)
  const floor = (await chain.head()).number
  const storm = new ChainStorm(chain, [...addresses, ...others], { random, maxDepth: MAX_DEPTH, floor })
  const zoos = [stack.use(await openZoo(chain.url)), stack.use(await openZoo(chain.url))]
  const pool = new ProviderPool(zoos.map(({ url }, index) => ({ name: `zoo ${index}`, url })))
  const follower = new MemoryFollower(pool, addresses, random)
  await follower.step()
  for (let operation = 0; operation < OPERATIONS; operation++) {
    await storm.step()
    misbehave(zoos, random)
    if (random() < 0.6) await follower.step()
  }
  for (const { manners } of zoos) for (const key of Object.keys(manners)) delete manners[key as keyof typeof manners]
  await follower.settle()
  const answer = await chain.rpc.call({
    method: 'eth_getLogs',
    // The chain may have become as short as it was; that block has none of them.
    params: [{ fromBlock: `0x${floor.toString(16)}`, address: addresses, topics: [WANTED] }],
  })
  const truth = (answer as { blockHash: string; logIndex: string }[]).map(
    ({ blockHash, logIndex }) => `${blockHash} ${BigInt(logIndex)}`,
  )
  const found = follower.logs.map(({ blockHash, index }) => `${blockHash} ${index}`)
  return { ...difference(truth, found), logs: truth.length, reorgs: storm.reorgs, ...follower.figures() }
}

/** What is in the one and not in the other; what is there twice is extra. */
function difference(truth: readonly string[], found: readonly string[]): { missing: string[]; extra: string[] } {
  const left = new Set(truth)
  const extra = found.filter((key) => !left.delete(key))
  return { missing: [...left], extra }
}

function misbehave(zoos: readonly Zoo[], random: Random): void {
  for (const { manners } of zoos) {
    manners.busyFor = random() < 0.05 ? 1 : 0
    manners.cutsFor = random() < 0.05 ? 1 : 0
    manners.emptiesFor = random() < 0.1 ? 1 : 0
    manners.lag = random() < 0.1 ? 1 + Math.floor(random() * 3) : 0
  }
}

/** A follower whose state is in memory. */
class MemoryFollower {
  readonly #pool: ProviderPool
  readonly #addresses: readonly `0x${string}`[]
  readonly #random: Random
  #known: KnownChain = { blocks: [], final: -1n }
  #trustsFilters = false
  logs: Log[] = []
  #broken = 0
  #saved = 0
  #wrongFilters = 0

  constructor(pool: ProviderPool, addresses: readonly `0x${string}`[], random: Random) {
    this.#pool = pool
    this.#addresses = addresses
    this.#random = random
  }

  figures(): Pick<StormOutcome, 'broken' | 'saved' | 'wrongFilters'> {
    return { broken: this.#broken, saved: this.#saved, wrongFilters: this.#wrongFilters }
  }

  async step(isStuck = false): Promise<Step['kind'] | 'failed'> {
    // Small enough for storms to go below it.
    const minDepth = 8
    const filter = { addresses: this.#addresses, topics: WANTED }
    try {
      const options = { filter, minDepth, rangeFrom: 4, isStuck, trustsFilters: this.#trustsFilters }
      const step = await nextStep(this.#known, { pool: this.#pool, ...options })
      this.#apply(step)
      if (step.kind === 'on' && this.#random() < 0.5) {
        const [deep, called] = [step.head.number - BigInt(minDepth), await readFinal(this.#pool)]
        const final = called < deep ? called : deep
        if (final > this.#known.final) this.#known = { ...this.#known, final }
      }
      return step.kind
    } catch (error) {
      if (!hasKind(error, 'behind', 'busy', 'unreachable')) throw error
      return 'failed'
    }
  }

  #apply(step: Step): void {
    if (step.kind === 'rest') return
    const { blocks, final } = this.#known
    if (step.kind === 'on') {
      this.#known = { blocks: blocksToKeep([...blocks, ...step.blocks]), final }
      this.logs.push(...step.logs)
      this.#saved += step.saved
      if (step.filters === 'wrong') this.#wrongFilters += 1
      this.#trustsFilters ||= step.filters === 'right'
      return
    }
    const to = step.to?.number ?? -1n
    if (step.isBroken) this.#broken += 1
    this.#known = { blocks: blocks.filter(({ number }) => number <= to), final: final < to ? final : to }
    this.logs = this.logs.filter(({ block }) => block <= to)
  }

  /** Until nothing is left to do. */
  async settle(): Promise<void> {
    for (let rests = 0; rests < 2;) {
      rests = (await this.step(true)) === 'rest' ? rests + 1 : 0
    }
  }
}
