import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Interface, namehash } from 'ethers'
import { Ens } from '../../services/chain/ens/ens.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { ensLookup } from '../../services/naming/ens-link.ts'
import { startFollower } from '../../services/republisher/follower.ts'
import { startChain } from '../support/anvil.ts'
import { openTestApi } from '../support/api.ts'
import { cidOf } from '../support/pins.ts'
import { until } from '../support/until.ts'
import { memoryLog } from '../support/web.ts'

const contracts = new Interface([
  'function setResolver(bytes32 node, address to)',
  'function setContenthash(bytes32 node, bytes value)',
])

test('each version of a followed name of ENS is pinned', { timeout: 120_000 }, async () => {
  await using chain = await startChain()
  const registry = await chain.deploy('MiniRegistry')
  const resolver = await chain.deploy('MiniResolver')
  const node = namehash('site.eth')
  await chain.send(registry, contracts.encodeFunctionData('setResolver', [node, resolver]))
  const publish = async (text: string): Promise<void> => {
    const value = Buffer.concat([Buffer.from('e301', 'hex'), cidOf(text).bytes])
    await chain.send(resolver, contracts.encodeFunctionData('setContenthash', [node, value]))
  }
  const pool = new ProviderPool([{ name: 'one', url: chain.url }])
  const lookUpEns = ensLookup(new Ens({ pool, registry, head: 'latest' }))
  await using api = await openTestApi({ lookUpEns })
  const { db, wakes } = api
  const stop = new AbortController()
  const { log } = memoryLog()
  const ended = startFollower({ db, wakes, links: { lookUpEns }, log, everyMs: 20, signal: stop.signal })
  try {
    await publish('one')
    assert.equal((await api.send('PUT', '/v1/follows/site.eth', { body: {} })).status, 201)
    for (const text of ['one', 'two']) {
      await publish(text)
      await db.run('update follow set next_at = now()')
      await until(`a pin of ${text}`, async () => {
        const { results } = await api.json<{ results: { pin: { cid: string } }[] }>(
          'GET',
          '/psa/pins?status=queued,pinning,pinned,failed',
        )
        return results.some(({ pin }) => pin.cid === cidOf(text).toString())
      })
    }
  } finally {
    stop.abort()
    await ended
  }
})
