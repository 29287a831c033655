import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'

const QUICK = { HOLDFAST_SUSPECT_AFTER: '2s', HOLDFAST_DOWN_AFTER: '4s' }

test('a killed node is replaced by another, and takes its copies back when it returns', async () => {
  await using cluster = await Cluster.start({ HOLDFAST_NODES: '4', ...QUICK })
  const bytes = seededBytes(3, 2_000_000)
  const { cid, pin } = await cluster.upload(bytes)
  const { replicas } = await cluster.pinned(pin.requestid, 3)
  const victim = cluster.ready.nodes.find(({ id }) => replicas.some(({ node }) => node === id))
  assert.ok(victim)
  process.kill(victim.pid, 'SIGKILL')

  const healed = await until('a copy on another node', async () => {
    const details = await cluster.details(pin.requestid)
    const live = details.replicas.filter(({ node, state }) => node !== victim.id && state === 'verified')
    return live.length === 3 ? details : undefined
  })
  assert.equal(healed.status, 'pinned')
  for (const node of cluster.ready.nodes) {
    if (node.id !== victim.id) assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0)
  }

  await cluster.down()
  await cluster.up()
  await until('three copies and no more', async () => {
    const details = await cluster.details(pin.requestid)
    return details.replicas.length === 3 && details.replicas.every(({ state }) => state === 'verified')
  })
})

test('while the control plane is gone, nodes serve each other what they hold', async () => {
  await using cluster = await Cluster.start()
  await cluster.json('/v1/policies/one-copy', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ copies: { min: 1, target: 1 } }),
  })
  const bytes = seededBytes(4, 700_000)
  const { cid, pin } = await cluster.upload(bytes, '?policy=one-copy')
  await cluster.pinned(pin.requestid, 1)
  process.kill(cluster.ready.control.pid, 'SIGKILL')
  await until('an API that is gone', () =>
    fetch(cluster.ready.api).then(
      () => false,
      () => true,
    ),
  )
  for (const node of cluster.ready.nodes) {
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0, node.id)
  }
})

test('after a stop and a start everything is there', async () => {
  await using cluster = await Cluster.start()
  const bytes = seededBytes(5, 1_500_000)
  const { cid, pin } = await cluster.upload(bytes, '?name=kept')
  await cluster.pinned(pin.requestid, 3)
  const before = cluster.ready
  await cluster.down()
  await cluster.up()
  assert.equal(cluster.ready.token, before.token)
  assert.deepEqual(
    cluster.ready.nodes.map(({ peer }) => peer),
    before.nodes.map(({ peer }) => peer),
  )
  assert.equal((await cluster.pinned(pin.requestid, 3)).pin.name, 'kept')
  for (const node of cluster.ready.nodes) {
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0)
  }
})

test('a busy port is an error that names its setting', async () => {
  await using cluster = await Cluster.start()
  const again = await Cluster.start({ HOLDFAST_API_PORT: new URL(cluster.ready.api).port }).then(
    () => assert.fail('it started'),
    (error: Error) => error.message,
  )
  assert.match(again, /HOLDFAST_API_PORT/)
})
