import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { blocksToKeep, newestOnChain } from '../../services/chain/follow/known-chain.ts'
import { nextStep } from '../../services/chain/follow/follow-chain.ts'
import type { ChainBlock } from '../../services/chain/pin-block.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { startChain } from '../support/anvil.ts'
import { stormOnce } from '../support/follow-storm.ts'
import { openZoo } from '../support/rpc-zoo.ts'

suite('following a chain', { timeout: 300_000 }, () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`through a storm of reorganisations and bad providers leaves the logs of the chain: seed ${seed}`, async () => {
      const { missing, extra, reorgs } = await stormOnce(seed)
      assert.ok(reorgs > 0)
      assert.deepEqual({ missing, extra }, { missing: [], extra: [] })
    })
  }

  test('goes on where one provider has stopped, and is the quickest', async () => {
    await using chain = await startChain()
    await chain.rpc.call({ method: 'anvil_mine', params: ['0x14'] })
    await using stopped = await openZoo(chain.url, { lag: 10 })
    const providers = [stopped.url, chain.url].map((url, index) => ({ name: `provider ${index}`, url }))
    const known = { blocks: [await chain.head()], final: -1n }
    const options = { filter: { addresses: [], topics: [] }, minDepth: 64, isStuck: true }
    await chain.rpc.call({ method: 'anvil_mine', params: ['0x1'] })
    const step = await nextStep(known, { ...options, pool: new ProviderPool(providers) })
    assert.equal(step.kind, 'on')
    // Where it is the only one, the chain is as short as it says.
    const alone = await nextStep(known, { ...options, pool: new ProviderPool(providers.slice(0, 1)) })
    assert.equal(alone.kind, 'back')
  })

  test('takes two calls for each block, of any number of contracts', async () => {
    await using chain = await startChain()
    await chain.rpc.call({ method: 'anvil_mine', params: ['0x64'] })
    await using zoo = await openZoo(chain.url)
    const pool = new ProviderPool([{ name: 'zoo', url: zoo.url }])
    const addresses = Array.from({ length: 500 }, (_, n) => `0x${(n + 1).toString(16).padStart(40, '0')}` as const)
    const filter = { addresses, topics: [`0x${'11'.repeat(32)}` as const] }
    const { number, hash } = await chain.head()
    let known = { blocks: [{ number, hash }], final: -1n }
    zoo.requests = 0
    for (let mined = 0; mined < 20; mined++) {
      await chain.rpc.call({ method: 'anvil_mine', params: ['0x1'] })
      const step = await nextStep(known, { pool, filter, minDepth: 64 })
      assert.equal(step.kind, 'on')
      if (step.kind === 'on') known = { ...known, blocks: [...known.blocks, ...step.blocks] }
    }
    assert.equal(zoo.requests, 40)
  })
})

suite('known blocks', () => {
  const chainOf = (length: number): ChainBlock[] =>
    Array.from({ length }, (_, number) => ({ number: BigInt(number), hash: `0x${number.toString(16)}` }))

  test('are the newest 256 and one of each thousand', () => {
    const kept = blocksToKeep(chainOf(5_000)).map(({ number }) => Number(number))
    assert.deepEqual(kept.slice(0, 5), [0, 1_000, 2_000, 3_000, 4_000])
    assert.deepEqual([kept.length, kept[5], kept.at(-1)], [261, 4_744, 4_999])
    assert.deepEqual(blocksToKeep(blocksToKeep(chainOf(5_000))).length, 261)
  })

  test('that are still on the chain end at the right one, found in few looks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 300 }), async (length, good) => {
        let looks = 0
        const found = await newestOnChain(chainOf(length), ({ number }) => {
          looks += 1
          return Promise.resolve(number < BigInt(good))
        })
        assert.equal(found?.number, good === 0 ? undefined : BigInt(Math.min(good, length) - 1))
        assert.ok(looks <= 20)
      }),
    )
  })
})
