import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { AbiCoder } from 'ethers'
import { decodeString } from '../../services/chain/abi-bytes.ts'
import { readContract } from '../../services/chain/contract-profile.ts'
import { creationBlock } from '../../services/chain/creation-block.ts'
import type { CollectionWanted, Coverage } from '../../services/chain/collection.ts'
import { enumerateTokens } from '../../services/chain/enumerate.ts'
import { wordOf, type Hex } from '../../services/chain/hex.ts'
import { pinBlock, type ChainBlock } from '../../services/chain/pin-block.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { ProviderLimits } from '../../services/chain/provider.ts'
import { hasCode } from '../../services/core/errors.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import { openZoo } from '../support/rpc-zoo.ts'

const BASE = 'ipfs://bafybeidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u/'
const TEXT = words(['string'], BASE)
const TEMPLATE = words(['string'], `${BASE}{id}.json`)

let chain: TestChain
let block: ChainBlock
const at: Record<string, Hex> = {}

before(async () => {
  chain = await startChain()
  at['indexed'] = await chain.deploy('Fixture721', TEXT)
  for (let from = 0; from < 1_000; from += 200) await call('indexed', 'mint(uint256,uint256)', from + 5, 200)
  at['consecutive'] = await chain.deploy('Fixture721A', words(['uint256', 'string'], 5_000, BASE))
  await call('consecutive', 'mint(uint256)', 100)
  for (const id of [0, 17, 4_999, 5_050]) await call('consecutive', 'burn(uint256)', id)
  at['few'] = await chain.deploy('Fixture721A', words(['uint256', 'string'], 200, BASE))
  await call('few', 'burn(uint256)', 9)
  at['many'] = await chain.deploy('Fixture1155', TEMPLATE)
  await call('many', 'mintBatch(uint256,uint256)', 10, 150)
  await call('many', 'mint(uint256,uint256)', 2n ** 255n, 1)
  await call('many', 'mint(uint256,uint256)', 3, 1)
  await call('many', 'burn(uint256,uint256)', 3, 1)
  await call('many', 'burn(uint256,uint256)', 11, 1)
  at['hostile'] = await chain.deploy('Hostile721')
  at['lying'] = await chain.deploy('LyingIndex721')
  at['proxy'] = await chain.deploy('FixtureProxy', wordOf(BigInt(at['lying'])))
  const pool = new ProviderPool([{ name: 'one', url: chain.url }])
  block = await pinBlock(pool, 'latest')
})
after(() => chain[Symbol.asyncDispose]())

function words(types: readonly string[], ...values: readonly unknown[]): string {
  return AbiCoder.defaultAbiCoder().encode(types, values).slice(2)
}

function call(name: string, signature: string, ...values: (number | bigint)[]): Promise<void> {
  return chain.send(at[name] as Hex, selectorOf(signature) + values.map(wordOf).join(''))
}

async function enumerate(
  name: string,
  {
    url = chain.url,
    limits = {},
    ...more
  }: Partial<CollectionWanted> & { url?: string; limits?: Partial<ProviderLimits> } = {},
): Promise<{ coverage: Coverage; ids: bigint[]; uris: (string | undefined)[] }> {
  const pool = new ProviderPool([{ name: 'one', url, limits }])
  const wanted = { pool, block, address: at[name] as Hex, standard: 'erc721' as const, ...more }
  const { coverage, batches } = await enumerateTokens(wanted, await readContract(wanted.address, wanted))
  const reads = (await Array.fromAsync(batches)).flat()
  return { coverage, ids: reads.map(({ id }) => id), uris: reads.map(({ returned }) => decodeString(returned)) }
}

function range(from: number, to: number): bigint[] {
  return Array.from({ length: to - from + 1 }, (_, index) => BigInt(from + index))
}

suite('the tokens of a collection', () => {
  test('are found by its index', async () => {
    const { coverage, ids, uris } = await enumerate('indexed')
    assert.deepEqual(coverage, { strategy: 'enumerable', isComplete: true, gaps: [], fromBlock: null })
    assert.deepEqual(ids, range(5, 1_004))
    assert.equal(uris.at(-1), `${BASE}1004.json`)
  })

  test('are found by its events: 5,000 told by one, more that came later, without those that are gone', async () => {
    await using zoo = await openZoo(chain.url)
    const { coverage, ids, uris } = await enumerate('consecutive', { url: zoo.url })
    assert.equal(coverage.strategy, 'logs')
    assert.ok(coverage.isComplete)
    assert.deepEqual(
      uris,
      ids.map((id) => `${BASE}${id}`),
    )
    assert.deepEqual(
      ids,
      range(0, 5_099).filter((id) => ![0n, 17n, 4_999n, 5_050n].includes(id)),
    )
    assert.ok(zoo.requests < 200, `${zoo.requests} requests`)
  })

  test('of ERC-1155 are those of which a copy is left', async () => {
    const { coverage, ids, uris } = await enumerate('many', { standard: 'erc1155' })
    assert.equal(coverage.strategy, 'logs')
    assert.deepEqual(ids, [...range(10, 159), 2n ** 255n])
    assert.equal(uris[0], `${BASE}{id}.json`)
  })

  test('are those that the user names', async () => {
    const { coverage, ids } = await enumerate('indexed', { ids: [7n, 9n, 7n] })
    assert.equal(coverage.strategy, 'given')
    assert.equal(coverage.isComplete, false)
    assert.deepEqual(ids, [7n, 9n])
  })

  test('are read up to a limit, and the list says so', async () => {
    for (const name of ['indexed', 'few']) {
      const { coverage, ids } = await enumerate(name, { maxTokens: 100 })
      assert.equal(ids.length, 100)
      assert.equal(coverage.isComplete, false)
      assert.equal(coverage.gaps.length, 1)
    }
  })

  test('are found by events where the index contradicts itself', async () => {
    const { coverage, ids } = await enumerate('lying')
    assert.equal(coverage.strategy, 'logs')
    assert.deepEqual(ids, [7n, 9n])
  })

  test('without end cost no more than the limit', async () => {
    const { coverage, ids } = await enumerate('hostile', { maxTokens: 50 })
    assert.equal(coverage.strategy, 'logs')
    assert.deepEqual(ids, [])
  })

  test('are the same whatever range of logs the provider takes', async () => {
    await using zoo = await openZoo(chain.url, { mostBlocks: 7 })
    const wanted = await enumerate('few')
    const { ids, coverage } = await enumerate('few', { url: zoo.url })
    assert.deepEqual(ids, wanted.ids)
    assert.deepEqual(coverage, wanted.coverage)
  })

  test('are a lower bound where no logs are to be had', async () => {
    await using zoo = await openZoo(chain.url, { mostBlocks: 0 })
    const { coverage, ids } = await enumerate('few', { url: zoo.url })
    assert.equal(coverage.strategy, 'probing')
    assert.equal(coverage.isComplete, false)
    assert.equal(coverage.gaps.length, 2)
    assert.ok(ids.length > 0)
    const many = await enumerate('many', { url: zoo.url, standard: 'erc1155' })
    assert.equal(many.coverage.strategy, 'none')
    assert.deepEqual(many.ids, [])
  })
})

suite('a contract', () => {
  const profileOf = (address: Hex) => {
    const pool = new ProviderPool([{ name: 'one', url: chain.url }])
    return readContract(address, { pool, block })
  }

  test('is described by what it has, not by what it claims', async () => {
    const indexed = await profileOf(at['indexed'] as Hex)
    assert.equal(indexed.name, 'Fixture')
    assert.equal(indexed.totalSupply, '1000')
    assert.deepEqual(indexed.standards, ['erc721', 'erc721-metadata', 'erc721-enumerable'])
    assert.deepEqual((await profileOf(at['lying'] as Hex)).standards, [])
    await assert.rejects(profileOf('0x00000000000000000000000000000000000000ff'), (error) =>
      hasCode(error, 'NOT_FOUND'),
    )
  })

  test('shows who can change what its tokens point to', async () => {
    const grade = async (name: string) => (await profileOf(at[name] as Hex)).mutability
    assert.equal((await grade('consecutive')).grade, 'FROZEN')
    const indexed = await grade('indexed')
    assert.equal(indexed.grade, 'OWNER_CAN_CHANGE')
    assert.deepEqual(indexed.setters, ['setBaseURI(string)'])
    const proxy = await grade('proxy')
    assert.equal(proxy.grade, 'PROXY')
    assert.equal(proxy.implementation, at['lying'])
  })

  test('was made at the block that first has its code', async () => {
    const pool = new ProviderPool([{ name: 'one', url: chain.url }])
    const made = await creationBlock(at['consecutive'] as Hex, { pool, block })
    const codeAt = (number: bigint) =>
      chain.rpc.call({ method: 'eth_getCode', params: [at['consecutive'], `0x${number.toString(16)}`] })
    assert.ok(made !== undefined)
    assert.equal(await codeAt(made - 1n), '0x')
    assert.notEqual(await codeAt(made), '0x')
  })
})
