import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { decodeString } from '../../services/chain/abi-bytes.ts'
import { wordOf, type Hex } from '../../services/chain/hex.ts'
import { ProviderPool, type Disagreement } from '../../services/chain/provider-pool.ts'
import { Provider, type ProviderLimits } from '../../services/chain/provider.ts'
import { readTokens, type TokenRead, type TokensWanted } from '../../services/chain/read-tokens.ts'
import { hasKind } from '../../services/chain/rpc-failure.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { wordsOf } from '../support/contract-call.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import { openZoo, type Manners, type Zoo } from '../support/rpc-zoo.ts'

const BASE = 'ipfs://bafybeidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u/'
const TOKENS = 1_200

let chain: TestChain
let collection: Hex
let hostile: Hex
let head: { number: bigint; hash: Hex }

before(async () => {
  chain = await startChain()
  collection = await chain.deploy('Fixture721', wordsOf('string', BASE))
  for (let from = 0; from < TOKENS; from += 200) {
    await chain.send(collection, selectorOf('mint(uint256,uint256)') + wordOf(from) + wordOf(200))
  }
  hostile = await chain.deploy('Hostile721')
  head = await chain.head()
})
after(() => chain[Symbol.asyncDispose]())

const wantAll = (): TokensWanted => ({
  address: collection,
  items: countTo(TOKENS),
  byIndex: true,
  blockHash: head.hash,
})

function countTo(count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => BigInt(index))
}

function assertAllRead(reads: readonly TokenRead[]): void {
  assert.deepEqual(
    reads.map(({ id, returned }) => [id, decodeString(returned)]),
    countTo(TOKENS).map((id) => [id, `${BASE}${id}.json`]),
  )
}

const WAYS = ['override', 'init-code', 'plain'] as const

suite('tokens of a collection', () => {
  for (const way of WAYS) {
    test(`are found by index and read, by ${way}`, async () => {
      const provider = new Provider({ name: 'one', url: chain.url, limits: { way } })
      assertAllRead(await readTokens(provider, wantAll()))
    })
  }

  test('are read in as few calls as there are pages', async () => {
    await using zoo = await openZoo(chain.url)
    const provider = new Provider({ name: 'one', url: zoo.url })
    assertAllRead(await readTokens(provider, wantAll()))
    assert.equal(zoo.requests, 3)
  })

  test('that are not there are named, beside those that are', async () => {
    for (const way of WAYS) {
      const provider = new Provider({ name: 'one', url: chain.url, limits: { way } })
      const items = [3n, BigInt(TOKENS), 4n]
      const byIndex = await readTokens(provider, { address: collection, items, byIndex: true, blockHash: head.hash })
      assert.deepEqual(
        byIndex.map(({ outcome }) => outcome),
        ['read', 'no-such-index', 'read'],
      )
      const byId = await readTokens(provider, { address: collection, items, blockHash: head.hash })
      assert.deepEqual(
        byId.map(({ outcome }) => outcome),
        ['read', 'reverted', 'read'],
      )
    }
  })

  test('are those of the block that is asked for, not of a later one', async () => {
    const before = await chain.head()
    await chain.send(collection, selectorOf('burn(uint256)') + wordOf(TOKENS - 1))
    const provider = new Provider({ name: 'one', url: chain.url })
    assertAllRead(await readTokens(provider, { ...wantAll(), blockHash: before.hash }))
    const now = await readTokens(provider, { ...wantAll(), blockHash: (await chain.head()).hash })
    assert.equal(now.at(-1)?.outcome, 'no-such-index')
  })
})

suite('a hostile contract', () => {
  for (const way of WAYS) {
    test(`spoils only its own tokens, by ${way}`, async () => {
      const provider = new Provider({ name: 'one', url: chain.url, limits: { way } })
      const reads = await readTokens(provider, { address: hostile, items: countTo(10), blockHash: head.hash })
      const good = reads.flatMap(({ id, returned }) => (decodeString(returned) === undefined ? [] : [id]))
      assert.deepEqual(good, [0n, 5n])
      assert.deepEqual(
        reads.map(({ outcome }) => outcome),
        ['read', 'reverted', 'reverted', 'read', 'read', 'read', 'read', 'read', 'reverted', 'read'],
      )
    })
  }

  test('costs no more than a call for each token that fails by a limit', async () => {
    await using zoo = await openZoo(chain.url)
    const provider = new Provider({ name: 'one', url: zoo.url })
    const reads = await readTokens(provider, { address: hostile, items: countTo(400), blockHash: head.hash })
    assert.equal(reads.length, 400)
    assert.ok(zoo.requests < 100, `${zoo.requests} requests`)
  })
})

/** What is learned of a provider with such manners, and still all tokens are read by it. */
const MANNERS: readonly {
  name: string
  manners: Manners
  limits: Partial<ProviderLimits>
  learned?: Partial<ProviderLimits>
}[] = [
  {
    name: 'that refuses state overrides',
    manners: { overrides: 'refused' },
    limits: {},
    learned: { way: 'init-code' },
  },
  {
    name: 'that ignores state overrides',
    manners: { overrides: 'ignored' },
    limits: {},
    learned: { way: 'init-code' },
  },
  { name: 'that returns little', manners: { mostBytes: 40_000 }, limits: {}, learned: { probeItems: 125 } },
  {
    name: 'that takes batches of 10',
    manners: { mostCalls: 10 },
    limits: { way: 'plain' },
    learned: { batchCalls: 6 },
  },
  { name: 'that takes no batches', manners: { mostCalls: 0 }, limits: { way: 'plain' }, learned: { batchCalls: 1 } },
  { name: 'that answers batches in another order', manners: { shuffles: true }, limits: { way: 'plain' } },
]

suite('a provider', () => {
  for (const { name, manners, limits, learned = {} } of MANNERS) {
    test(`${name} is read within its limits, which are learned`, async () => {
      await using zoo = await openZoo(chain.url, manners)
      const provider = new Provider({ name: 'one', url: zoo.url, limits })
      const reads = await readTokens(provider, { ...wantAll(), items: countTo(600) })
      assert.equal(reads.filter(({ outcome }) => outcome === 'read').length, 600)
      assert.deepEqual({ ...provider.limits, ...learned }, provider.limits)
    })
  }
})

async function openPool(
  stack: AsyncDisposableStack,
  all: readonly Manners[],
  options: { quorum?: number; onDisagree?: (disagreement: Disagreement) => void } = {},
): Promise<{ pool: ProviderPool; zoos: Zoo[] }> {
  const zoos: Zoo[] = []
  for (const manners of all) zoos.push(stack.use(await openZoo(chain.url, manners)))
  const providers = zoos.map(({ url }, index) => ({ name: `provider ${index}`, url }))
  return { pool: new ProviderPool(providers, options), zoos }
}

const print = (reads: readonly TokenRead[]): string =>
  reads.map(({ id, outcome, returned }) => `${id} ${outcome} ${Buffer.from(returned).toString('hex')}`).join('\n')

suite('a pool of providers', () => {
  const ALIVE: readonly Manners[] = [{ busyFor: 2 }, { cutsFor: 2 }, {}]
  test('asks the next one when one is busy or cuts its answer', async () => {
    await using stack = new AsyncDisposableStack()
    const { pool } = await openPool(stack, ALIVE)
    const address = { ...wantAll(), items: countTo(TOKENS - 1) }
    const reads = await pool.ask((provider, signal) => readTokens(provider, address, signal))
    assert.equal(reads.length, TOKENS - 1)
  })

  test('asks the next one when one leaves out a call of a batch', async () => {
    await using stack = new AsyncDisposableStack()
    const { pool } = await openPool(stack, [{ forgets: true }, {}])
    for (const { limits } of pool.providers) limits.way = 'plain'
    const reads = await pool.ask((provider, signal) =>
      readTokens(provider, { ...wantAll(), items: countTo(50) }, signal),
    )
    assert.deepEqual(new Set(reads.map(({ outcome }) => outcome)), new Set(['read']))
  })

  test('waits for one that is busy when there is no other', async () => {
    await using stack = new AsyncDisposableStack()
    const { pool, zoos } = await openPool(stack, [{ busyFor: 3 }])
    assert.ok(await pool.ask((provider) => provider.hasReached(head.number)))
    assert.equal(zoos[0]?.requests, 4)
  })

  test('does not ask one that is behind the block', async () => {
    await using stack = new AsyncDisposableStack()
    const { pool, zoos } = await openPool(stack, [{ lag: 3 }, {}])
    const { number } = await chain.head()
    await pool.ask((provider, signal) => readTokens(provider, wantAll(), signal), { atLeast: number })
    assert.equal(zoos[0]?.calls.get('eth_call'), undefined)
  })

  test('outvotes one that lies, and tells who it was', async () => {
    await using stack = new AsyncDisposableStack()
    const told: Disagreement[] = []
    const { pool } = await openPool(stack, [{ lies: true }, {}, {}], { quorum: 2, onDisagree: (one) => told.push(one) })
    const reads = await pool.agreed((provider, signal) => readTokens(provider, wantAll(), signal), print)
    assertAllRead(reads)
    assert.deepEqual(told, [{ agreed: ['provider 1', 'provider 2'], dissenting: ['provider 0'] }])
  })

  test('answers nothing when too few agree', async () => {
    await using stack = new AsyncDisposableStack()
    const { pool } = await openPool(stack, [{ lies: true }, {}], { quorum: 2 })
    const asked = pool.agreed((provider, signal) => readTokens(provider, wantAll(), signal), print)
    await assert.rejects(asked, (error) => hasKind(error, 'refused'))
  })

  test('fails with what the last one said when none answers', async () => {
    const zoo = await openZoo(chain.url)
    await zoo[Symbol.asyncDispose]()
    const pool = new ProviderPool([{ name: 'gone', url: `${zoo.url}/secret-key`, timeoutMs: 1_000 }])
    const asked = pool.ask((provider) => provider.hasReached(head.number))
    await assert.rejects(
      asked,
      (error: Error) => hasKind(error, 'unreachable') && !String(error.cause).includes('secret'),
    )
  })

  test('gives up when it is told to', async () => {
    await using stack = new AsyncDisposableStack()
    const { pool } = await openPool(stack, [{ busyFor: 1_000 }])
    const stop = new AbortController()
    const asked = pool.ask((provider) => provider.hasReached(0n, stop.signal), { signal: stop.signal })
    stop.abort()
    await assert.rejects(asked, { name: 'AbortError' })
  })
})
