import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Interface, namehash } from 'ethers'
import { CID } from 'multiformats/cid'
import { startChain } from '../support/anvil.ts'
import { Cluster } from '../support/cluster.ts'
import { ask } from '../support/gateway.ts'

const contracts = new Interface([
  'function setResolver(bytes32 node, address to)',
  'function setContenthash(bytes32 node, bytes value)',
])

test('names of ENS are served by every node of a cluster, and followed by it', { timeout: 180_000 }, async () => {
  await using chain = await startChain()
  const registry = await chain.deploy('MiniRegistry')
  const universal = await chain.deploy('MiniUniversalResolver', registry.slice(2).padStart(64, '0'))
  const resolver = await chain.deploy('MiniResolver')
  await using cluster = await Cluster.start({
    HOLDFAST_CHAIN_RPC: chain.url,
    HOLDFAST_ENS_REGISTRY: registry,
    HOLDFAST_ENS_UNIVERSAL_RESOLVER: universal,
  })
  const { cid } = await cluster.upload('a page of señor')
  const name = 'señor.eth'
  const node = namehash(name)
  const contenthash = Buffer.concat([Buffer.from('e301', 'hex'), CID.parse(cid).bytes])
  await chain.send(registry, contracts.encodeFunctionData('setResolver', [node, resolver]))
  await chain.send(resolver, contracts.encodeFunctionData('setContenthash', [node, contenthash]))
  await chain.rpc.call({ method: 'anvil_mine', params: ['0x20'] })

  for (const { id, gateway } of cluster.ready.nodes) {
    const { status, headers, body } = await ask(gateway, `/ens/${encodeURIComponent(name)}`)
    assert.deepEqual([status, body.toString()], [200, 'a page of señor'], id)
    assert.equal(headers['x-ens-name'], encodeURIComponent(name))
    const host = `${new URL('http://señor-eth.x').host.slice(0, -2)}.ens.localhost`
    assert.equal((await ask(gateway, '/', { headers: { host } })).body.toString(), 'a page of señor', id)
    assert.equal((await ask(gateway, `/tls/ask?domain=${host}`)).status, 200, id)
  }
  const path = `/v1/follows/${encodeURIComponent(name)}`
  const followed = await cluster.json<{ name: string }>(path, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  assert.equal(followed.name, name)
})
