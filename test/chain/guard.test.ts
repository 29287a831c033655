import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { GuardedChain } from '../support/guarded-chain.ts'
import { until } from '../support/until.ts'

suite('a guarded collection', { timeout: 300_000 }, () => {
  test('has all pinned that its tokens lead to: those that are there, and those that are made', async () => {
    await using at = await GuardedChain.open()
    const address = await at.chain.deploy('FixtureEvents')
    const [one, two] = [at.addToken('one'), at.addToken('two')]
    await at.call(address, 'mintAs(uint256,string)', 1, one.uri)
    await using running = at.run()
    const guardId = await at.guard(address)
    await at.hasRoots(...one.roots)
    await at.call(address, 'mintAs(uint256,string)', 2, two.uri)
    await at.call(address, 'mintAs(uint256,string)', 3, two.uri)
    await at.hasRoots(...one.roots, ...two.roots)
    await at.hasUri(guardId, 3, two.uri, false)
    await at.mine(20)
    for (const token of [1, 2, 3]) await at.hasUri(guardId, token, token === 1 ? one.uri : two.uri, true)
    assert.deepEqual(await at.events('uri.changed'), [])
    void running
  })
})
void [CID, createPinAcceptor, until]
