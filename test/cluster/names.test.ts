import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { Cluster, type ReadyNode } from '../support/cluster.ts'
import { until } from '../support/until.ts'

/** Names of an account on a whole cluster: published once, served by every node, and served on without the control plane. */

const RECORD = 'application/vnd.ipfs.ipns-record'

interface NameView {
  name: string
  sequence: string
  nodes: { reached: number; of: number }
}

let cluster: Cluster
before(async () => {
  cluster = await Cluster.start({ HOLDFAST_GATEWAY_WORKERS: '2' })
})
after(() => cluster[Symbol.asyncDispose]())

function send<T = NameView>(method: string, path: string, body: unknown): Promise<T> {
  return cluster.json<T>(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

function createdWith(text: string, body: object): Promise<NameView> {
  return send('POST', '/v1/names', { ...body, label: text })
}

async function served(node: ReadyNode, name: string): Promise<string> {
  const response = await fetch(`${node.gateway}/ipns/${name}`)
  return await response.text()
}

/** Waits until every node's gateway serves that under the name. */
async function servedByAll(name: string, text: string): Promise<void> {
  for (const node of cluster.ready.nodes) {
    await until(`${text} from ${node.id}`, async () => (await served(node, name)) === text)
  }
}

async function keptByAll(name: string): Promise<void> {
  await until('the record on every disk', async () => {
    const { nodes } = await cluster.json<NameView>(`/v1/names/${name}`)
    return nodes.of === 3 && nodes.reached === 3
  })
}

test('a published name leads to its content on every node, and to the new content once it is published', async () => {
  const [one, two] = [await cluster.upload('version one'), await cluster.upload('version two')]
  const { name } = await createdWith('site', { value: one.cid })
  await servedByAll(name, 'version one')
  const updated = await send('PUT', '/v1/names/site', { value: two.cid })
  assert.equal(updated.sequence, '2')
  await servedByAll(name, 'version two')
  await keptByAll(name)
})

test('a record that a client signed is served as it is', async () => {
  const { cid } = await cluster.upload('signed elsewhere')
  const key = generateSigningKey()
  const record = createIpnsRecord(key, {
    value: `/ipfs/${cid}`,
    sequence: 3n,
    validUntilMs: Date.now() + 86_400_000,
    ttlMs: 60_000,
  })
  await createdWith('dapp', { mode: 'client-signed', name: key.name.text })
  const response = await cluster.api('/v1/names/dapp/records', {
    method: 'PUT',
    headers: { 'content-type': RECORD },
    body: record.bytes as Uint8Array<ArrayBuffer>,
  })
  assert.equal(response.status, 200, await response.text())
  await servedByAll(key.name.text, 'signed elsewhere')
  for (const node of cluster.ready.nodes) {
    const given = await fetch(`${node.gateway}/routing/v1/ipns/${key.name.text}`, { headers: { accept: RECORD } })
    assert.deepEqual(Buffer.from(await given.arrayBuffer()), Buffer.from(record.bytes), node.id)
  }
})

test('names survive a restart of everything', async () => {
  const { name } = await cluster.json<NameView>('/v1/names/site')
  await cluster.down()
  await cluster.up()
  await servedByAll(name, 'version two')
  const { cid } = await cluster.upload('version three')
  assert.equal((await send('PUT', '/v1/names/site', { value: cid })).sequence, '3')
  await servedByAll(name, 'version three')
  await keptByAll(name)
})

test('names are served on while the control plane is away, also by a node that starts meanwhile', async () => {
  const { name } = await cluster.json<NameView>('/v1/names/site')
  await cluster.kill('control')
  await servedByAll(name, 'version three')
  const node = cluster.node(1)
  await cluster.kill(node.id)
  // It is in the cluster again only with the control plane, but its gateway is up before.
  const joining = cluster.join(node.id)
  await until('the name from a node that started alone', async () => (await served(node, name)) === 'version three')
  cluster.join('control').catch(() => {})
  await joining
})
