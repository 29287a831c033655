import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_POLICY_NAME } from '../../services/core/policy.ts'
import { putPolicy } from '../../services/catalog/policies.ts'
import { enqueue } from '../../services/catalog/reconcile-queue.ts'
import { previewPolicy } from '../../services/catalog/replicas-preview.ts'
import { pinReplicas } from '../../services/catalog/replicas-view.ts'
import { reconcile } from '../../services/scheduler/reconcile.ts'
import { eventually } from '../support/eventually.ts'
import { simulatedCluster } from '../support/simulated-cluster.ts'
import { newTenant, pinRoot, rootNumber, statesOf, statusOf } from '../support/wanted.ts'

const TWO = { copies: { min: 1, target: 2 }, rules: [] }
const ALL = { copies: { min: 2, target: 3 }, rules: [{ require: 'region', in: ['tokyo'], copies: 1 }] }
const REGIONS = ['shanghai', 'frankfurt', 'virginia', 'tokyo']

test('a preview tells what a policy moves, and saving it moves that', async () => {
  await using cluster = await simulatedCluster()
  for (const region of REGIONS) cluster.addNode(region)
  const tenantId = await newTenant(cluster.db, TWO)
  const pins = []
  for (let number = 0; number < 10; number++) {
    cluster.world.network.add(rootNumber(number))
    pins.push(await pinRoot(cluster, tenantId, rootNumber(number)))
  }
  for (const pin of pins) {
    await eventually(
      'two copies',
      async () => Object.values(await statesOf(cluster.db, pin)).join() === 'verified,verified',
    )
  }
  const asked = { tenantId, name: DEFAULT_POLICY_NAME }
  const unchanged = await previewPolicy(cluster.db, { ...asked, policy: TWO })
  assert.deepEqual([unchanged.contents, unchanged.sampled], [10, 10])
  assert.deepEqual([unchanged.copiesAdded, unchanged.copiesReleased, unchanged.unsatisfied], [0, 0, 0])

  const preview = await previewPolicy(cluster.db, { ...asked, policy: ALL })
  assert.deepEqual([preview.copiesAdded, preview.bytesAdded, preview.copiesReleased], [10, 10_000, 0])
  const one = await previewPolicy(cluster.db, { ...asked, policy: { copies: { min: 1, target: 1 }, rules: [] } })
  assert.deepEqual([one.copiesAdded, one.copiesReleased, one.bytesReleased], [0, 10, 10_000])
  const impossible = { copies: { min: 1, target: 2 }, rules: [{ require: 'region', in: ['mars'], copies: 1 }] }
  const none = await previewPolicy(cluster.db, { ...asked, policy: impossible, limit: 3 })
  assert.deepEqual([none.sampled, none.unsatisfied, none.problems], [3, 3, ['0 of 1 copies lie in region mars.']])

  await putPolicy(cluster.db, tenantId, DEFAULT_POLICY_NAME, ALL, cluster.wakes)
  for (const pin of pins) {
    await eventually('three copies, one in tokyo', async () => {
      const copies = (await pinReplicas(cluster.db, pin.contentId)).filter(({ state }) => state === 'verified')
      return copies.length === 3 && copies.some(({ region }) => region === 'tokyo')
    })
  }
})

test('a policy that waits for silent nodes longer than there is time holds up nobody', async () => {
  await using cluster = await simulatedCluster()
  for (const region of ['a', 'b', 'c']) cluster.addNode(region)
  const patient = { copies: { min: 1, target: 3 }, rules: [], heal: { after: '999999999d' } }
  const tenantId = await newTenant(cluster.db, patient)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenantId, rootNumber(1))
  await eventually(
    'three copies',
    async () => Object.values(await statesOf(cluster.db, pin)).join() === 'verified,verified,verified',
  )
  await [...cluster.world.nodes.values()][0]?.stop()
  await eventually('that it is looked at again tomorrow', async () => {
    const later = await cluster.db.query(
      `select from reconcile_queue where content_id = $1 and due_at > now() + interval '23 hours'`,
      [pin.contentId],
    )
    return later.length > 0
  })
})

test('copies are not read back again and again without a pause', async () => {
  await using cluster = await simulatedCluster()
  cluster.addNode('a')
  const eager = { copies: { min: 1, target: 1 }, rules: [], verify: { every: '1ms' } }
  const tenantId = await newTenant(cluster.db, eager)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenantId, rootNumber(1))
  await eventually('pinned', async () => (await statusOf(cluster.db, pin)) === 'pinned')
  await enqueue(cluster.db, [pin.contentId])
  await eventually(
    'that it was looked at',
    async () => (await cluster.db.query('select from reconcile_queue')).length === 0,
  )
  const copies = await cluster.db.query('select recheck, lease from replica')
  assert.deepEqual(copies, [{ recheck: false, lease: null }])
})

test('a root that cannot be decided holds up no other, and comes again', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  cluster.addNode('a')
  await eventually('a node', async () => (await cluster.db.query('select from node')).length === 1)
  const [broken, whole] = [await newTenant(cluster.db, TWO), await newTenant(cluster.db, TWO)]
  const stuck = await pinRoot(cluster, broken, rootNumber(1))
  const pin = await pinRoot(cluster, whole, rootNumber(2))
  // As if another version of the program had saved it.
  await cluster.db.run(`update policy set spec = '{}' where tenant_id = $1`, [broken])
  const { taken, failed } = await reconcile(cluster.db, cluster.settings)
  assert.equal(taken, 2)
  assert.deepEqual(
    failed.map(({ contentId }) => contentId),
    [stuck.contentId],
  )
  assert.deepEqual(await statesOf(cluster.db, pin), { 'a-1': 'allocated' })
  const left = await cluster.db.query('select content_id as id from reconcile_queue where due_at > now()')
  assert.deepEqual(left, [{ id: stuck.contentId }])
})
