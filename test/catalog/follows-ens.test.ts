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

test(
  'each version of a followed name of ENS is pinned, in any script and of any end',
  { timeout: 120_000 },
  async () => {
    await using chain = await startChain()
    const registry = await chain.deploy('MiniRegistry')
    const resolver = await chain.deploy('MiniResolver')
    const publish = async (name: string, text: string): Promise<void> => {
      const node = namehash(name)
      const value = Buffer.concat([Buffer.from('e301', 'hex'), cidOf(text).bytes])
      await chain.send(registry, contracts.encodeFunctionData('setResolver', [node, resolver]))
      await chain.send(resolver, contracts.encodeFunctionData('setContenthash', [node, value]))
    }
    const pool = new ProviderPool([{ name: 'one', url: chain.url }])
    const lookUpEns = ensLookup(new Ens({ pool, registry, head: 'latest' }))
    await using api = await openTestApi({ lookUpEns })
    const { db, wakes } = api
    const stop = new AbortController()
    const { log } = memoryLog()
    const ended = startFollower({ db, wakes, links: { lookUpEns }, log, everyMs: 20, signal: stop.signal })
    const arePinned = async (...texts: string[]): Promise<void> => {
      await db.run('update follow set next_at = now()')
      await until(`pins of ${texts.join()}`, async () => {
        const { results } = await api.json<{ results: { pin: { cid: string } }[] }>(
          'GET',
          '/psa/pins?status=queued,pinning,pinned,failed',
        )
        return texts.every((text) => results.some(({ pin }) => pin.cid === cidOf(text).toString()))
      })
    }
    try {
      await publish('señor🦆.eth', 'one')
      await publish('shop.example.com', 'another')
      for (const [asked, name] of [
        ['SEÑOR🦆.eth', 'señor🦆.eth'],
        ['ens://Shop.example.com', 'ens://shop.example.com'],
        ['/ens/shop.example.com', 'ens://shop.example.com'],
      ] as const) {
        const path = `/v1/follows/${encodeURIComponent(asked)}`
        assert.equal((await api.json<{ name: string }>('PUT', path, { body: {} })).name, name)
      }
      await arePinned('one', 'another')
      await publish('señor🦆.eth', 'two')
      await arePinned('two')
    } finally {
      stop.abort()
      await ended
    }
  },
)
