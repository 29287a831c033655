import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { HostTable } from '../../services/gateway/hosts.ts'
import { loadConfig } from '../../services/runtime/config.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway } from '../support/gateway.ts'

const HOSTS = 'open.test:path,blocks.test:trustless:nofetch,sites.example:subdomain:nofetch'
const hosts = loadConfig({ HOLDFAST_GATEWAY_HOSTS: HOSTS }).HOLDFAST_GATEWAY_HOSTS

/** The public network, as far as it is asked. */
class Network extends MemoryBlocks {
  asked = 0

  async block(cid: CID): Promise<Uint8Array | undefined> {
    this.asked += 1
    return await this.get(cid)
  }
}

suite('what no node holds', () => {
  test('comes from the public network under a host that allows it, and under no other', async () => {
    const network = new Network()
    const cid = network.addRaw(Buffer.from('held by strangers')).toString()
    await using gateway = await openGateway(new MemoryBlocks(), { hosts, network, settings: { cacheBytes: 0 } })
    const status = async (host: string, path = `/ipfs/${cid}?format=raw`): Promise<number> =>
      (await ask(gateway.url, path, { headers: { host } })).status
    assert.equal(await status('blocks.test'), 404)
    assert.equal(await status(`${cid}.ipfs.sites.example`, '/?format=raw'), 404)
    assert.equal(await status('whatever.test'), 404)
    assert.equal(network.asked, 0)
    assert.equal(await status('open.test'), 200)
    assert.equal(network.asked, 1)
    assert.equal(await status('blocks.test'), 404)
  })

  test('is looked for under every host when none forbids it', () => {
    const table = new HostTable([{ host: 'open.test', class: 'path' }])
    assert.ok(table.fetches('open.test:80') && table.fetches('whatever.test'))
  })
})
