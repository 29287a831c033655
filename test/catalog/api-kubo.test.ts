import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { addNode } from '../support/node-rows.ts'

/** What Kubo's `ipfs pin remote` and its MFS policy send (kubo: core/commands/pin/remotepin.go, cmd/ipfs/kubo/pinmfs.go). */

interface Pin {
  requestid: string
  status: string
  delegates: string[]
  pin: { cid: string; name: string }
}

const cid = rawCid('from kubo').toString()

function ls(api: TestApi, query: string): Promise<{ count: number; results: Pin[] }> {
  return api.json('GET', `/psa/pins?${query}`)
}

async function pinnedBy(api: TestApi, { requestid }: Pin): Promise<void> {
  await api.db.run(`update pin set status = 'pinned' where id = $1`, [requestid])
}

test('ipfs pin remote add: origins and a name go, delegates that parse come, and polling sees it pinned', async () => {
  await using api = await openTestApi()
  await addNode(api.db, { name: 'frankfurt-1', region: 'frankfurt' })
  const origins = ['/ip4/192.168.1.7/tcp/4001/p2p/12D3KooWGRUVh6o6rRXN5ciB4n5nPJDPvVAjyqz3kCEmS7GXQf5M']
  const pin = await api.json<Pin>('POST', '/psa/pins', { body: { cid, name: 'site', origins } })
  for (const address of pin.delegates) assert.equal(multiaddr(address).getComponents().at(-1)?.name, 'p2p')
  assert.equal((await api.json<Pin>('GET', `/psa/pins/${pin.requestid}`)).status, 'queued')
  await pinnedBy(api, pin)
  assert.equal((await api.json<Pin>('GET', `/psa/pins/${pin.requestid}`)).status, 'pinned')
})

test('ipfs pin remote service ls --stat: counts of each state', async () => {
  await using api = await openTestApi()
  const first = await api.json<Pin>('POST', '/psa/pins', { body: { cid, name: 'a' } })
  await api.json('POST', '/psa/pins', { body: { cid, name: 'b' } })
  await pinnedBy(api, first)
  const counts = await Promise.all(
    ['queued', 'pinning', 'pinned', 'failed'].map((status) => ls(api, `limit=1&status=${status}`)),
  )
  assert.deepEqual(
    counts.map(({ count }) => count),
    [1, 0, 1, 0],
  )
})

test('ipfs pin remote rm: lists by name and status, then deletes each', async () => {
  await using api = await openTestApi()
  for (const name of ['keep', 'drop', 'drop'])
    await pinnedBy(api, await api.json<Pin>('POST', '/psa/pins', { body: { cid, name } }))
  const { results } = await ls(api, 'name=drop&status=pinned&limit=1000')
  for (const { requestid } of results) assert.equal((await api.send('DELETE', `/psa/pins/${requestid}`)).status, 202)
  const left = await ls(api, 'status=pinned&limit=1000')
  assert.deepEqual(
    left.results.map(({ pin }) => pin.name),
    ['keep'],
  )
})

test('the MFS policy replaces the pin of a name when its root moves', async () => {
  await using api = await openTestApi()
  const name = 'policy/12D3KooW/mfs'
  const old = await api.json<Pin>('POST', '/psa/pins', { body: { cid, name } })
  await pinnedBy(api, old)
  const { results } = await ls(api, `name=${encodeURIComponent(name)}&status=queued,pinning,pinned&limit=1000`)
  assert.equal(results.length, 1)
  const root = rawCid('moved').toString()
  const moved = await api.json<Pin>('POST', `/psa/pins/${results[0]?.requestid}`, { body: { cid: root, name } })
  assert.equal(moved.pin.cid, root)
  assert.equal((await ls(api, `name=${encodeURIComponent(name)}&status=queued,pinning,pinned`)).count, 1)
})
