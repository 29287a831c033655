import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { openDatabase } from '../../services/catalog/database.ts'
import { routingKeyOfText } from '../../services/core/routing-key.ts'
import { Cluster, type ReadyNode } from '../support/cluster.ts'
import { openRouter, type TestRouter } from '../support/delegated-router.ts'
import { spawnPlainHelia, type PlainHelia } from '../support/spawn-plain-helia.ts'
import { topicOf } from '../support/stranger-in-topics.ts'
import { until } from '../support/until.ts'

/** Names between a whole cluster and plain Helia nodes in processes of their own: by delegated routing and by the DHT. */

const DHT = '/holdfast/kad/1.0.0'
const RECORD = 'application/vnd.ipfs.ipns-record'

interface NameView {
  name: string
  value: string | null
  nodes: { reached: number; of: number }
}

let cluster: Cluster
let router: TestRouter
before(async () => {
  router = await openRouter((request, response) => {
    const known = router.puts.findLast(({ name }) => request.url?.endsWith(name))
    response.writeHead(known === undefined ? 404 : 200, { 'content-type': RECORD })
    response.end(request.method === 'PUT' ? undefined : known?.record)
  })
  await using dead = await openRouter()
  cluster = await Cluster.start({ HOLDFAST_ROUTERS: `${dead.url},${router.url}` })
})
after(async () => {
  await cluster[Symbol.asyncDispose]()
  await router[Symbol.asyncDispose]()
})

/** A plain Helia node in the cluster's own DHT. */
async function inDht(): Promise<PlainHelia> {
  const helia = await spawnPlainHelia({ dhtProtocol: DHT })
  for (const { addresses } of cluster.ready.nodes) await helia.connect(addresses[0] ?? '')
  return helia
}

/** A plain Helia node that knows nothing but PubSub. */
async function inTopics(): Promise<PlainHelia> {
  const helia = await spawnPlainHelia({ isPubSubAlone: true })
  for (const { addresses } of cluster.ready.nodes) await helia.connect(addresses[0] ?? '')
  return helia
}

/** Waits until a plain node knows that some of our nodes are in the topic of a name. */
async function shareTopic(helia: PlainHelia, name: string, nodes: number): Promise<void> {
  const topic = topicOf(routingKeyOfText(name))
  const isShared = async (): Promise<boolean> => (await helia.topicMembers(topic)).length >= nodes
  await until('our nodes to be in the topic', isShared, 60_000)
}

function send(method: string, path: string, body: unknown): Promise<NameView> {
  return cluster.json(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

async function leadsTo(helia: PlainHelia, name: string, cid: string): Promise<void> {
  await until(`${cid} behind the name`, async () => (await helia.resolveName(name)) === `/ipfs/${cid}`, 60_000)
}

async function served(node: ReadyNode, name: string): Promise<string> {
  return await (await fetch(`${node.gateway}/ipns/${name}`)).text()
}

test('a name that we publish is resolved by a node without DHT over our gateway, and by one in the DHT', async () => {
  const [one, two] = [await cluster.upload('version one'), await cluster.upload('version two')]
  const { name } = await send('POST', '/v1/names', { label: 'site', value: one.cid, ttlSeconds: 5 })
  await using light = await spawnPlainHelia({ router: cluster.node(0).gateway })
  await using member = await inDht()
  await leadsTo(light, name, one.cid)
  await leadsTo(member, name, one.cid)
  await send('PUT', '/v1/names/site', { value: two.cid })
  await leadsTo(light, name, two.cid)
  await leadsTo(member, name, two.cid)
})

test('what the DHT, PubSub and each router know stands in rows; a router that is dead fails nothing', async () => {
  const { name } = await cluster.json<NameView>('/v1/names/site')
  await using db = openDatabase(cluster.ready.database, { connections: 1 })
  const rows = await until(
    'records with the DHT, PubSub and the router',
    async () => {
      const rows = await db.query<{ target: string; isTold: boolean; peers: number | null; failures: number }>(
        `select t.target, coalesce(t.version = i.version, false) as "isTold", t.peers, t.failures
           from name_target t join ipns_name i on i.name = t.name where t.name = $1`,
        [name],
      )
      const isOver = rows.every(({ isTold, failures }) => isTold || failures > 0)
      return rows.length === 4 && isOver && rows.filter(({ isTold }) => isTold).length === 3 && rows
    },
    60_000,
  )
  const of = (target: string) => rows.find((row) => row.target === target)
  assert.ok((of('dht')?.peers ?? 0) >= 1)
  assert.ok(of('pubsub')?.isTold, 'also when nobody is in the topic')
  assert.equal(of(router.url)?.failures, 0)
  const record = await cluster.api(`/v1/names/site/records`, { headers: { accept: RECORD } })
  const put = router.puts.findLast((one) => one.name === name)
  assert.deepEqual(put?.record, Buffer.from(await record.arrayBuffer()))
})

test('what a node without DHT publishes over a gateway is served by every node, and found in the DHT', async () => {
  const { cid } = await cluster.upload('published over a gateway')
  await using light = await spawnPlainHelia({ router: cluster.node(1).gateway })
  const name = await light.publishName('theirs', CID.parse(cid))
  for (const node of cluster.ready.nodes) {
    await until(`the content from ${node.id}`, async () => (await served(node, name)) === 'published over a gateway')
  }
  await using member = await inDht()
  await leadsTo(member, name, cid)
})

test('a name that we publish is resolved by a node that knows nothing but PubSub, and its next record', async () => {
  const [one, two] = [await cluster.upload('told to topics'), await cluster.upload('told to topics again')]
  const { name } = await send('POST', '/v1/names', { label: 'topic', value: one.cid, ttlSeconds: 5 })
  await using member = await inTopics()
  await shareTopic(member, name, 2)
  await leadsTo(member, name, one.cid)
  await send('PUT', '/v1/names/topic', { value: two.cid })
  await leadsTo(member, name, two.cid)
})

test('what a node tells by PubSub alone is served as it comes, by every node, and by those that were asked before', async () => {
  const [one, two] = [await cluster.upload('heard in a topic'), await cluster.upload('heard in a topic again')]
  await using owner = await inTopics()
  const name = await owner.publishName('theirs', CID.parse(one.cid))
  const [asked, ...others] = cluster.ready.nodes
  assert.ok(asked)
  assert.ok(!(await fetch(`${asked.gateway}/ipns/${name}`)).ok, 'it was told when nobody was in the topic')
  await shareTopic(owner, name, 1)
  await owner.publishName('theirs', CID.parse(two.cid))
  for (const node of [asked, ...others]) {
    await until(`the content from ${node.id}`, async () => (await served(node, name)) === 'heard in a topic again')
  }
  await owner.publishName('theirs', CID.parse(one.cid))
  await until('the next record without anyone looking', async () => (await served(asked, name)) === 'heard in a topic')
})

test('a foreign name is resolved on every node by the DHT, watched, and kept alive when its owner is gone', async () => {
  const { cid } = await cluster.upload('published elsewhere')
  let name: string
  {
    await using owner = await inDht()
    name = await owner.publishName('theirs', CID.parse(cid))
    for (const node of cluster.ready.nodes) {
      await until(`their content from ${node.id}`, async () => (await served(node, name)) === 'published elsewhere')
    }
    await send('POST', '/v1/names', { mode: 'watched', name, label: 'theirs' })
    await until('the record on every disk', async () => {
      const { value, nodes } = await cluster.json<NameView>('/v1/names/theirs')
      return value === `/ipfs/${cid}` && nodes.reached === 3
    })
  }
  // Peers keep what others put to them in memory, so that nothing is left of what the owner did.
  await cluster.down()
  await cluster.up()
  await using member = await inDht()
  await using light = await spawnPlainHelia({ router: cluster.node(2).gateway })
  await leadsTo(member, name, cid)
  await leadsTo(light, name, cid)
  await until('their record with the router', () => router.puts.some((put) => put.name === name))
})
