import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { parseCid } from '../../services/core/cid.ts'
import { SENDER } from '../support/chain-storm.ts'
import { callOf } from '../support/contract-call.ts'
import { ROOT_BYTES } from '../support/simulated-node.ts'
import { deployCollection } from '../support/collections.ts'
import { GuardedChain } from '../support/guarded-chain.ts'
import { guardThroughStorm } from '../support/guard-storm.ts'
import { openZoo } from '../support/rpc-zoo.ts'
import { until } from '../support/until.ts'

const GAS = '0xf4240'

suite('a guarded collection', { timeout: 300_000 }, () => {
  test('has all pinned that its tokens lead to: those that are there, and those that are made', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const [one, two] = [at.addToken('one'), at.addToken('two')]
    await at.call(address, 'mintAs(uint256,string)', 1, one.uri)
    at.run()
    const guardId = await at.guard(address)
    await at.hasRoots(...one.roots)
    await at.call(address, 'mintAs(uint256,string)', 2, two.uri)
    await at.call(address, 'mintAs(uint256,string)', 3, two.uri)
    // A root that two tokens share is one pin.
    await at.hasRoots(...one.roots, ...two.roots)
    await at.hasUri(guardId, 3, two.uri, false)
    await at.mine(20)
    for (const token of [1, 2, 3]) await at.hasUri(guardId, token, token === 1 ? one.uri : two.uri, true)
    assert.deepEqual(await at.events('uri.changed'), [])
  })

  test('whose token points elsewhere has both pinned, and the old one released once the new one is final', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const [one, two] = [at.addToken('one'), at.addToken('two')]
    await at.call(address, 'mintAs(uint256,string)', 1, one.uri)
    await at.call(address, 'mintAs(uint256,string)', 2, one.uri)
    const own = one.roots[0] as string
    const { db } = at.cluster
    const users = await createPinAcceptor(db).accept(at.tenantId, { cid: parseCid(own), cidText: own })
    at.run()
    const guardId = await at.guard(address, { keepMs: 1 })
    await at.hasRoots(...one.roots, own)
    await at.call(address, 'setTokenURI(uint256,string)', 1, two.uri)
    await at.hasRoots(...one.roots, own, ...two.roots)
    await at.mine(20)
    await at.hasUri(guardId, 1, two.uri, true)
    // The other token still needs it.
    await at.hasRoots(...one.roots, own, ...two.roots)
    await at.call(address, 'setTokenURI(uint256,string)', 2, two.uri)
    await at.hasUri(guardId, 2, two.uri, false)
    assert.equal((await at.roots()).length, 5)
    await at.mine(20)
    await at.hasRoots(own, ...two.roots)
    assert.equal((await db.query('select from pin where id = $1', [users.id])).length, 1)
    const [event] = await at.events('uri.changed')
    assert.deepEqual(event?.data['tokens'], [{ id: '1', from: one.uri, to: two.uri }])
    const history = await db.query<{ uri: Buffer }>('select uri from guard_uri where token_id = 1 order by id')
    assert.deepEqual(
      history.map(({ uri }) => uri.toString()),
      [one.uri, two.uri],
    )
  })

  test('that changes without an event, or tells that all has changed, is read whole', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const files = ['a', 'b'].map((name) => at.add(JSON.stringify({ name })))
    const folders = [0, 1, 2].map((n) => at.addFolder(files.map((cid, id) => [`${n}-${id}`, cid])))
    const uriOf = (n: number): string => `ipfs://${(folders[n] as CID).toString()}/${n}-`
    await at.call(address, 'setPrefix(string)', uriOf(0))
    for (const id of [0, 1]) await at.call(address, 'mintAs(uint256,string)', id, String(id))
    at.run({ fullEveryMs: 300 })
    const guardId = await at.guard(address)
    await at.hasUri(guardId, 1, `${uriOf(0)}1`)
    await at.call(address, 'setPrefixSilently(string)', uriOf(1))
    await at.hasUri(guardId, 1, `${uriOf(1)}1`)
    await at.call(address, 'setPrefix(string)', uriOf(2))
    await at.hasUri(guardId, 0, `${uriOf(2)}0`)
    // Folders are pinned whole, by their roots.
    await at.hasRoots(...folders.map(String))
  })

  test('whose change is reorganised away points to what it did before, and what came between is released', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const [one, two, three] = [at.addToken('one'), at.addToken('two'), at.addToken('three')]
    await at.call(address, 'mintAs(uint256,string)', 1, one.uri)
    await at.mine(20)
    at.run({ orphanMs: 1, minDepth: 8 })
    const guardId = await at.guard(address)
    await at.hasRoots(...one.roots)
    await at.call(address, 'setTokenURI(uint256,string)', 1, two.uri)
    await at.hasRoots(...one.roots, ...two.roots)
    await at.reorg(1)
    await at.hasUri(guardId, 1, one.uri)
    await at.hasRoots(...one.roots)
    await at.call(address, 'setTokenURI(uint256,string)', 1, two.uri)
    await at.hasRoots(...one.roots, ...two.roots)
    const data = callOf('setTokenURI(uint256,string)', 1, three.uri)
    await at.reorg(2, [[{ from: SENDER, to: address, data, gas: GAS }, 1]])
    // What anvil answers while it reorganises may be the state of another block; what is final is read once more.
    await at.mine(20)
    await at.hasUri(guardId, 1, three.uri, true)
    await at.hasRoots(...one.roots, ...three.roots)
    assert.deepEqual(await at.events('finality.broken'), [])
  })

  test('is right again after what was final is reorganised, and its account is told', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const [one, two] = [at.addToken('one'), at.addToken('two')]
    await at.mine(20)
    await at.call(address, 'mintAs(uint256,string)', 1, one.uri)
    const made = (await at.chain.head()).number
    at.run()
    const guardId = await at.guard(address)
    await at.hasRoots(...one.roots)
    await at.call(address, 'setTokenURI(uint256,string)', 1, two.uri)
    await at.mine(20)
    await at.hasUri(guardId, 1, two.uri, true)
    await at.reorg(21)
    await at.hasUri(guardId, 1, one.uri)
    const [broken] = await at.events('finality.broken')
    assert.equal(broken?.subject, 'eip155:31337')
    await at.mine(20)
    await at.hasUri(guardId, 1, one.uri, true)
    // A chain that becomes shorter, and stays so.
    const { number } = await at.chain.head()
    await at.chain.rpc.call({ method: 'anvil_rollback', params: [Number(number - made) + 1] })
    await at.hasUri(guardId, 1, null)
  })

  test('of which a limit holds back pins stops at it, tells once, and goes on when there is room', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const tokens = ['a', 'b', 'c', 'd'].map((name) => at.addToken(name))
    at.run()
    await at.guard(address, { limits: { collectionBytes: 2 * ROOT_BYTES } })
    for (const [id, { uri }] of tokens.entries()) {
      await at.call(address, 'mintAs(uint256,string)', id, uri)
      if (id > 0) continue
      await at.hasRoots(...(tokens[0]?.roots ?? []))
      // What is pinned takes room once it is measured.
      await until('the measure', async () => {
        const rows = await at.cluster.db.query(`select from content where bytes = ${ROOT_BYTES}`)
        return rows.length >= 2
      })
    }
    await until('the alarm', async () => (await at.events('guard.limit')).length === 1)
    assert.ok((await at.roots()).length <= 3)
    await at.guard(address)
    await at.hasRoots(...tokens.flatMap(({ roots }) => roots))
    assert.equal((await at.events('guard.limit')).length, 1)
  })

  test('of which a token is larger than it may be has no pin of that, and is told of it once', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const small = at.addFolder([])
    await at.call(address, 'mintAs(uint256,string)', 1, `ipfs://${at.add('{}').toString()}`)
    at.run()
    await at.guard(address, { limits: { tokenBytes: ROOT_BYTES - 1 } })
    const [event] = await until('the alarm', async () => {
      const events = await at.events('guard.limit')
      return events.length > 0 && events
    })
    assert.deepEqual(event?.data, { limit: 'tokenBytes', pins: 1 })
    await at.hasRoots()
    // A part of a folder is not the token's own.
    await at.call(address, 'mintAs(uint256,string)', 2, `ipfs://${small.toString()}/2.json`)
    await at.hasRoots(small.toString())
    await until('its copies', async () => {
      const pins = await at.cluster.db.query(`select from pin where status = 'pinned'`)
      return pins.length === 1
    })
    assert.equal((await at.events('guard.limit')).length, 1)
  })

  test('that becomes a server’s, loses content or is upgraded is told of', async () => {
    await using at = await GuardedChain.open()
    const code = await at.chain.deploy('FixtureEvents')
    const address = await at.chain.deploy('FixtureUpgradable', code.slice(2).padStart(64, '0'))
    const [one, folder] = [at.addToken('one'), at.addFolder([])]
    await at.call(address, 'mintAs(uint256,string)', 1, one.uri)
    at.run()
    const guardId = await at.guard(address)
    await at.hasRoots(...one.roots)
    await at.call(address, 'setTokenURI(uint256,string)', 1, 'https://server.example/1?token=secret')
    await until('the alarm', async () => (await at.events('became.centralised')).length === 1)
    assert.equal(JSON.stringify(await at.events('uri.changed')).includes('secret'), false)
    const served = at.add(JSON.stringify({ image: 'https://server.example/1.png' }))
    await at.call(address, 'mintAs(uint256,string)', 2, one.uri)
    await at.call(address, 'setTokenURI(uint256,string)', 2, `ipfs://${served.toString()}`)
    await until('another', async () => (await at.events('became.centralised')).length === 2)
    await at.call(address, 'setTokenURI(uint256,string)', 1, `ipfs://${folder.toString()}/nowhere.json`)
    await until('what is missing', async () => (await at.events('asset.missing')).length === 1)
    const nowhere = at.blocks.addRaw(Buffer.from('nobody has it')).toString()
    await at.call(address, 'setTokenURI(uint256,string)', 1, `ipfs://${nowhere}`)
    const [, lost] = await until('a root that nobody has', async () => {
      const events = await at.events('asset.missing')
      return events.length > 1 && events
    })
    assert.equal(lost?.data['cid'], nowhere)
    const next = await at.chain.deploy('FixtureEvents')
    await at.call(address, 'upgradeTo(address)', next)
    const [upgraded] = await until('the upgrade', async () => {
      const events = await at.events('contract.upgraded')
      return events.length > 0 && events
    })
    assert.deepEqual(upgraded?.data['implementation'], { from: code, to: next })
    void guardId
  })

  test('whose contract says more of its tokens has every URI pinned, and other metadata than it says is told of', async () => {
    await using at = await GuardedChain.open()
    const [one, two, three] = [at.addToken('one'), at.addToken('two'), at.addToken('three')]
    const address = await deployCollection(at.chain, [one.uri, one.uri], 'FixtureExtended')
    const extend = (id: number, uris: string[], digest = '0x'): Promise<void> =>
      at.call(address, 'extend(uint256,string[],bytes,string)', id, uris, digest, digest === '0x' ? '' : 'sha256')
    await extend(0, [one.uri, two.uri])
    at.run()
    const guardId = await at.guard(address, { keepMs: 1 })
    await at.hasRoots(...one.roots, ...two.roots)
    await extend(0, [three.uri])
    await at.hasRoots(...one.roots, ...two.roots, ...three.roots)
    const [changed] = await until('the change', async () => {
      const events = await at.events('uri.changed')
      return events.length > 0 && events
    })
    assert.deepEqual(changed?.data['tokens'], [{ id: '0', from: one.uri, to: one.uri, further: true }])
    await at.mine(20)
    await at.hasUri(guardId, 0, one.uri, true)
    await at.hasRoots(...one.roots, ...three.roots)
    assert.deepEqual(await at.events('content.mismatch'), [])
    await extend(1, [], `0x${'11'.repeat(32)}`)
    const [told] = await until('the alarm', async () => {
      const events = await at.events('content.mismatch')
      return events.length > 0 && events
    })
    assert.deepEqual(told?.data['tokens'], ['1'])
    // What it leads to stays pinned.
    await at.hasRoots(...one.roots, ...three.roots)
  })

  test('is guarded by one control plane at a time, and by another once that dies', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const tokens = ['a', 'b', 'c', 'd'].map((name) => at.addToken(name))
    await using zoos = new AsyncDisposableStack()
    const start = async () => {
      const zoo = zoos.use(await openZoo(at.chain.url))
      return { zoo, guard: at.run({}, { pool: new ProviderPool([{ name: 'zoo', url: zoo.url }]) }) }
    }
    const [first, second] = [await start(), await start()]
    const guardId = await at.guard(address)
    const followed = (zoo: { calls: Map<string, number> }): number => zoo.calls.get('eth_getBlockByNumber') ?? 0
    await at.call(address, 'mintAs(uint256,string)', 0, tokens[0]?.uri)
    await at.hasUri(guardId, 0, tokens[0]?.uri ?? null)
    const [leader, other] = followed(first.zoo) > 0 ? [first, second] : [second, first]
    assert.equal(followed(other.zoo), 0)
    await leader.guard[Symbol.asyncDispose]()
    await at.call(address, 'mintAs(uint256,string)', 1, tokens[1]?.uri)
    await at.hasUri(guardId, 1, tokens[1]?.uri ?? null)
    assert.ok(followed(other.zoo) > 0)
    await other.guard[Symbol.asyncDispose]()
    // Nobody looks meanwhile.
    await at.call(address, 'mintAs(uint256,string)', 2, tokens[2]?.uri)
    await at.reorg(1)
    await at.call(address, 'mintAs(uint256,string)', 3, tokens[3]?.uri)
    await start()
    await at.hasUri(guardId, 3, tokens[3]?.uri ?? null)
    await at.hasRoots(...[0, 1, 3].flatMap((id) => tokens[id]?.roots ?? []))
  })

  for (const seed of [1, 2, 3]) {
    test(`through a storm of changes and reorganisations ends as the chain does: seed ${seed}`, async () => {
      const { missing, stale, tokens } = await guardThroughStorm(seed)
      assert.ok(tokens > 0)
      assert.deepEqual({ missing, stale }, { missing: [], stale: [] })
    })
  }

  test('is read as providers agree, and one that lies is told of', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const folder = at.addFolder([])
    const uri = `ipfs://${folder.toString()}/1.json`
    await at.call(address, 'mintAs(uint256,string)', 1, uri)
    await using zoos = new AsyncDisposableStack()
    const providers: { name: string; url: string }[] = []
    // Two are asked first, the quickest: the liar and one that is honest.
    for (const [name, manners] of [
      ['liar', { lies: true }] as const,
      ['one', {}] as const,
      ['two', { slowMs: 50 }] as const,
    ]) {
      const { url } = zoos.use(await openZoo(at.chain.url, manners))
      providers.push({ name, url })
    }
    at.run({}, { pool: new ProviderPool(providers, { quorum: 2 }) })
    const guardId = await at.guard(address)
    await at.hasUri(guardId, 1, uri)
    const [told] = await until('the alarm', async () => {
      await at.call(address, 'setTokenURI(uint256,string)', 1, uri)
      const events = await at.events('rpc.disagrees')
      return events.length > 0 && events
    })
    assert.deepEqual(told?.data['dissenting'], ['liar'])
    assert.deepEqual(await at.events('uri.changed'), [])
  })

  test('that is guarded no more keeps no pin of the guard', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const one = at.addToken('one')
    await at.call(address, 'mintAs(uint256,string)', 1, one.uri)
    at.run()
    await at.guard(address)
    await at.hasRoots(...one.roots)
    await at.unguard(address)
    await at.hasRoots()
  })
})
