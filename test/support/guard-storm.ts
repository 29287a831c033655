import { decodeString } from '../../services/chain/abi-bytes.ts'
import { Provider } from '../../services/chain/provider.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { readTokens } from '../../services/chain/read-tokens.ts'
import { ChainStorm } from './chain-storm.ts'
import { GuardedChain } from './guarded-chain.ts'
import { openZoo } from './rpc-zoo.ts'
import { seededRandom } from './seeded-random.ts'
import { until } from './until.ts'

const OPERATIONS = 60
const ROOTS = 8

/**
 * Guards a collection whose tokens are made, burned and pointed elsewhere while the chain is reorganised, providers misbehave
 * and control planes come and go; and holds what is known of its tokens, and what is pinned, against the chain.
 */
export async function guardThroughStorm(seed: number): Promise<{ tokens: number; missing: string[]; stale: string[] }> {
  await using at = await GuardedChain.open()
  const { chain } = at
  const address = await chain.deploy('FixtureEvents')
  await chain.rpc.call({ method: 'evm_setAutomine', params: [false] })
  const random = seededRandom(seed)
  const uris = Array.from({ length: ROOTS }, (_, place) => at.addToken(`${place}`).uri)
  const uri = (place: number): string => uris[place % ROOTS] as string
  const floor = (await chain.head()).number
  const storm = new ChainStorm(chain, [address], { random, maxDepth: 20, floor, uri })
  await using zoo = await openZoo(chain.url)
  const start = () => at.run({}, { pool: new ProviderPool([{ name: 'zoo', url: zoo.url }]) })
  let running = start()
  const guardId = await at.guard(address)
  for (let operation = 0; operation < OPERATIONS; operation++) {
    await storm.step()
    zoo.manners.cutsFor = random() < 0.05 ? 1 : 0
    zoo.manners.emptiesFor = random() < 0.1 ? 1 : 0
    if (random() < 0.05) {
      const former = running
      running = start()
      await former[Symbol.asyncDispose]()
    }
  }
  zoo.manners = {}
  // What anvil answers while it reorganises may be the state of another block; what is final is read once more.
  await at.mine(12)
  const truth = await truthOf()
  const told = async (): Promise<string[]> => {
    const known = await at.uris(guardId)
    return [...known].flatMap(([id, { uri: found }]) => (found === null ? [] : [`${id} ${found}`])).sort()
  }
  await until('the same tokens', async () => (await told()).join() === truth.join()).catch(() => undefined)
  const found = new Set(await told())
  const missing = truth.filter((token) => !found.delete(token))
  const wanted = new Set(truth.map((token) => token.slice(token.indexOf('ipfs://') + 'ipfs://'.length)))
  await until('the pins', async () => (await lacking(wanted)).length === 0).catch(() => undefined)
  missing.push(...(await lacking(wanted)))
  await running[Symbol.asyncDispose]()
  return { tokens: truth.length, missing, stale: [...found] }

  async function truthOf(): Promise<string[]> {
    const { hash } = await chain.head()
    const items = Array.from({ length: 12 }, (_, id) => BigInt(id))
    const provider = new Provider({ name: 'truth', url: chain.url })
    const reads = await readTokens(provider, { address, items, blockHash: hash })
    return reads
      .flatMap(({ id, outcome, returned }) => (outcome === 'read' ? [`${id} ${decodeString(returned)}`] : []))
      .sort()
  }

  async function lacking(roots: ReadonlySet<string>): Promise<string[]> {
    const pinned = new Set(await at.roots())
    return [...roots].filter((root) => !pinned.has(root))
  }
}
