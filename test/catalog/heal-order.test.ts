import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loseReplicasOf } from '../../services/catalog/nodes-liveness.ts'
import { finishEntries, takeEntries } from '../../services/catalog/reconcile-queue.ts'
import { simulatedCluster } from '../support/simulated-cluster.ts'
import { SimulatedNode } from '../support/simulated-node.ts'
import { newTenant, pinRoot, rootNumber } from '../support/wanted.ts'

test('of a node that died, contents with the fewest copies left are looked at first', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  const { db, sync, world, joinToken } = cluster
  const ids: number[] = []
  for (const name of ['dead', 'alive', 'also-alive']) {
    const node = new SimulatedNode(sync, world, { name, region: name, joinToken })
    ids.push((await node.register()).nodeId)
  }
  const [dead = 0] = ids
  const tenant = await newTenant(db)
  // Copies in all, of which one is on the node that dies: left are 2, none, 1, 2 and 1.
  const copies = [3, 1, 2, 3, 2]
  const contents: string[] = []
  for (const [number, count] of copies.entries()) {
    const { contentId } = await pinRoot(cluster, tenant, rootNumber(number))
    contents.push(contentId)
    await db.run(
      `insert into replica (content_id, node_id, state, verified_at) select $1, id, 'verified', now()
         from unnest($2::integer[]) as id`,
      [contentId, ids.slice(0, count)],
    )
  }
  await finishEntries(db, await takeEntries(db, 100))
  await db.run(`update node set liveness = 'down' where id = $1`, [dead])
  const { lost } = await loseReplicasOf(db, dead, { after: '0', limit: 100, onlyEndangered: false })
  assert.equal(lost, copies.length)

  const order: string[] = []
  for (let entries = await takeEntries(db, 1); entries.length > 0; entries = await takeEntries(db, 1)) {
    order.push(...entries.map(({ contentId }) => contentId))
  }
  const left = order.map((contentId) => (copies[contents.indexOf(contentId)] ?? 0) - 1)
  // What has no live copy has to be looked for, and takes nothing from what is one loss away from that.
  assert.deepEqual(left, [1, 1, 0, 2, 2])
})
