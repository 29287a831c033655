import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Cluster } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'

let cluster: Cluster
before(async () => {
  cluster = await Cluster.start()
})
after(() => cluster[Symbol.asyncDispose]())

test('ready.json tells where everything is', async () => {
  const { api, token, database, nodes } = cluster.ready
  assert.match(api, /^http:\/\/127\.0\.0\.1:\d+$/)
  assert.ok(token.length > 40)
  assert.match(database, /^postgres(ql)?:\/\//)
  assert.deepEqual(
    nodes.map(({ region }) => region),
    ['shanghai', 'frankfurt', 'virginia'],
  )
  for (const { addresses, peer, pid } of nodes) {
    assert.ok(
      addresses.some((address) => address.startsWith('/ip4/127.0.0.1/tcp/') && address.endsWith(`/p2p/${peer}`)),
    )
    assert.ok(process.kill(pid, 0))
  }
})

test('an uploaded file is pinned on three nodes and reads the same from each gateway', async () => {
  const bytes = seededBytes(1, 5_000_000)
  const { cid, size, pin } = await cluster.upload(bytes, '?name=five-megabytes')
  assert.equal(size, bytes.length)
  const details = await cluster.pinned(pin.requestid, 3)
  assert.deepEqual(details.replicas.map(({ region }) => region).sort(), ['frankfurt', 'shanghai', 'virginia'])
  for (const node of cluster.ready.nodes) {
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0, node.id)
  }
})

test('a node without a copy serves what another node holds', async () => {
  const bytes = seededBytes(2, 300_000)
  await cluster.json('/v1/policies/one-copy', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ copies: { min: 1, target: 1 } }),
  })
  const { cid, pin } = await cluster.upload(bytes, '?policy=one-copy')
  const { replicas } = await cluster.pinned(pin.requestid, 1)
  assert.equal(replicas.length, 1)
  for (const node of cluster.ready.nodes) {
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0, node.id)
  }
})

test('a folder keeps its paths', async () => {
  const form = new FormData()
  form.append('file', new Blob(['<h1>home</h1>']), 'index.html')
  form.append('file', new Blob(['body{}']), 'css/main.css')
  const uploaded = await cluster.json<{ cid: string; pin: { requestid: string } }>('/v1/uploads?name=site', {
    method: 'POST',
    body: form,
  })
  await cluster.pinned(uploaded.pin.requestid, 2)
  const text = async (path: string): Promise<string> =>
    Buffer.from(await cluster.read(cluster.node(1), `/ipfs/${uploaded.cid}${path}`)).toString()
  assert.equal(await text('/'), '<h1>home</h1>')
  assert.equal(await text('/css/main.css'), 'body{}')
})

test('what nobody holds is not found, at once', async () => {
  const response = await fetch(
    `${cluster.node(0).gateway}/ipfs/bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4`,
    { headers: { accept: 'application/json' } },
  )
  assert.equal(response.status, 404)
  assert.equal(((await response.json()) as { error: { reason: string } }).error.reason, 'BLOCK_MISSING')
})

test('unpinned content is no longer listed and its pin is gone', async () => {
  const { pin } = await cluster.upload('to be removed')
  assert.equal((await cluster.api(`/psa/pins/${pin.requestid}`, { method: 'DELETE' })).status, 202)
  assert.equal((await cluster.api(`/psa/pins/${pin.requestid}`)).status, 404)
})

test('no process writes its token or its keys to a log', async () => {
  const logs = await Promise.all(
    ['control', ...cluster.ready.nodes.map(({ id }) => id)].map((name) =>
      readFile(join(cluster.folder, 'logs', `${name}.log`), 'utf8'),
    ),
  )
  const joinToken = (await readFile(join(cluster.folder, 'join-token'), 'utf8')).trim()
  for (const log of logs) {
    assert.ok(!log.includes(cluster.ready.token))
    assert.ok(!log.includes(joinToken))
    assert.ok(!log.includes('PRIVATE KEY'))
  }
})
