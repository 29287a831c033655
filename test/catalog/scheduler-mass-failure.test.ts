import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listNodes } from '../../services/catalog/nodes.ts'
import { eventually } from '../support/eventually.ts'
import { simulatedCluster } from '../support/simulated-cluster.ts'
import { newTenant, pinRoot, rootNumber, statesOf } from '../support/wanted.ts'

const SPREAD = { copies: { min: 2, target: 3 }, rules: [] }

test('when many nodes fall silent at once only contents in danger are healed, and all is well when they return', async () => {
  await using cluster = await simulatedCluster()
  const nodes = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db, SPREAD)
  const pins = []
  for (let number = 0; number < 30; number++) {
    cluster.world.network.add(rootNumber(number))
    pins.push({ ...(await pinRoot(cluster, tenant, rootNumber(number))), root: rootNumber(number) })
  }
  const isWhole = async (pin: { contentId: string }): Promise<boolean> =>
    Object.values(await statesOf(cluster.db, pin)).join() === 'verified,verified,verified'
  for (const pin of pins) await eventually('three copies', () => isWhole(pin))

  const silent = nodes.slice(0, 3)
  const left = nodes.slice(3)
  const copiesLeft = (root: string): number => left.filter(({ disk }) => disk.has(root)).length
  const before = new Map(pins.map(({ root }) => [root, copiesLeft(root)]))
  await Promise.all(silent.map((node) => node.stop()))
  await eventually('they are known to be down', async () => {
    const down = (await listNodes(cluster.db)).filter(({ liveness }) => liveness === 'down')
    return down.length === silent.length
  })
  const endangered = pins.filter(({ root }) => (before.get(root) ?? 0) === 1)
  assert.ok(endangered.length > 0)
  for (const { root } of endangered) await eventually('healed', () => copiesLeft(root) >= 2)
  await eventually('nothing is left to do', async () => {
    const open = await cluster.db.query(
      `select from reconcile_queue union all select from replica where lease is not null`,
    )
    return open.length === 0
  })
  for (const { root } of pins.filter((pin) => before.get(pin.root) === 2)) assert.equal(copiesLeft(root), 2)

  for (const node of silent) node.run()
  for (const pin of pins) await eventually('whole again', () => isWhole(pin))
})
