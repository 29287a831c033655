import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { edgeStoreFolder } from '../../services/node/edge-cache.ts'
import { Cluster } from '../support/cluster.ts'
import { ask } from '../support/gateway.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'

test('a node with an edge cache serves what is read much there while its only holder is gone, and counts for no copy', async () => {
  await using cluster = await Cluster.start({
    HOLDFAST_NODES: '2',
    HOLDFAST_GATEWAY_WORKERS: '2',
    HOLDFAST_EDGE_CACHE: '64MiB',
  })
  await cluster.policy('one-copy', { min: 1, target: 1 })
  const bytes = seededBytes(1, 3_000_000)
  const { cid, pin } = await cluster.upload(bytes, '?policy=one-copy')
  const { replicas } = await cluster.pinned(pin.requestid, 1)
  const [holder] = replicas.map(({ node }) => node)
  const edge = cluster.ready.nodes.find(({ id }) => id !== holder)
  assert.ok(holder !== undefined && edge !== undefined)
  await using cache = await openBlockReader(edgeStoreFolder(edge.data))
  await until('a copy in the edge cache', async () => {
    const { status, body } = await ask(edge.gateway, `/ipfs/${cid}`)
    assert.ok(status === 200 && body.equals(bytes))
    return cache.root(CID.parse(cid))
  })
  assert.deepEqual(
    (await cluster.details(pin.requestid)).replicas.map(({ node }) => node),
    [holder],
  )
  await cluster.kill(holder)
  for (const _ of [1, 2, 3, 4]) assert.ok((await ask(edge.gateway, `/ipfs/${cid}`)).body.equals(bytes))
})
