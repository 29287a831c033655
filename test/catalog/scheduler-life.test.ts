import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drainNode } from '../../services/catalog/nodes.ts'
import type { PinRow } from '../../services/catalog/pins.ts'
import { eventually } from '../support/eventually.ts'
import { simulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import { newTenant, pinRoot, replaceRoot, rootNumber, statesOf, statusOf, unpin } from '../support/wanted.ts'

const REGIONS = ['shanghai', 'frankfurt', 'virginia']

function verifiedCount(states: Record<string, string>): number {
  return Object.values(states).filter((state) => state === 'verified').length
}

async function isWhole({ db }: SimulatedCluster, pin: PinRow, copies = 3): Promise<boolean> {
  const states = await statesOf(db, pin)
  return verifiedCount(states) === copies && Object.keys(states).length === copies
}

async function isPinned({ db }: SimulatedCluster, pin: PinRow): Promise<boolean> {
  return (await statusOf(db, pin)) === 'pinned'
}

test('a pin is allocated, stored, verified and pinned on three nodes', async () => {
  await using cluster = await simulatedCluster()
  const nodes = REGIONS.map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('it is pinned', () => isPinned(cluster, pin))
  await eventually('three copies', () => isWhole(cluster, pin))
  for (const node of nodes) assert.ok(node.disk.has(rootNumber(1)))
  const [content] = await cluster.db.query<{ bytes: string; blocks: string }>('select bytes, blocks from content')
  assert.deepEqual(content, { bytes: '1000', blocks: '4' })
})

test('what nobody has is looked for by one node at a time, and given up with the last error', async () => {
  await using cluster = await simulatedCluster()
  const nodes = REGIONS.map((region) => cluster.addNode(region))
  let atOnce = 0
  let most = 0
  let tries = 0
  for (const node of nodes) {
    const perform = node.perform.bind(node)
    node.perform = (work) => {
      tries++
      return perform(work)
    }
    node.fate = () => {
      atOnce++
      most = Math.max(most, atOnce)
      queueMicrotask(() => atOnce--)
      return 'done'
    }
  }
  const tenant = await newTenant(cluster.db)
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('it failed', async () => (await statusOf(cluster.db, pin)) === 'failed')
  assert.equal(most, 1)
  // A machine that stands still for longer than a lease costs a try whose report comes too late.
  assert.ok(tries >= 6 && tries <= 9, `${tries} tries`)
  const [content] = await cluster.db.query('select given_up, given_up_code from content')
  assert.deepEqual(content, { given_up: 'nobody has it', given_up_code: 'NOT_FOUND' })

  cluster.world.network.add(rootNumber(1))
  const again = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('a new pin tries again', () => isPinned(cluster, again))
  await eventually('and revives the old one', () => isPinned(cluster, pin))
})

test('content that is refused for good fails its pins at once', async () => {
  await using cluster = await simulatedCluster()
  for (const region of REGIONS) cluster.addNode(region).fate = () => 'refuse'
  const tenant = await newTenant(cluster.db)
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('it failed', async () => (await statusOf(cluster.db, pin)) === 'failed')
  const attempts = await cluster.db.query('select from replica where attempts > 0')
  assert.equal(attempts.length, 1)
})

test('a dead node heals to a fourth, and its return leaves three', async () => {
  await using cluster = await simulatedCluster()
  const nodes = [...REGIONS, 'tokyo'].map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('three copies', () => isWhole(cluster, pin))
  const victim = nodes.find((node) => node.disk.has(rootNumber(1)))
  assert.ok(victim !== undefined)
  await victim.stop()
  await eventually('healed', async () => {
    const states = await statesOf(cluster.db, pin)
    return states[victim.name] === 'lost' && verifiedCount(states) === 3
  })
  assert.ok(await isPinned(cluster, pin))
  victim.run()
  await eventually('the surplus is gone', () => isWhole(cluster, pin))
  await eventually('also from the disks', () => nodes.filter((node) => node.disk.has(rootNumber(1))).length === 3)
  assert.ok(await isPinned(cluster, pin))
})

test('one of three nodes dies: the pin stays pinned by the floor, and is whole when the node is back', async () => {
  await using cluster = await simulatedCluster()
  const nodes = REGIONS.map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('three copies', () => isWhole(cluster, pin))
  await nodes[0]?.stop()
  await eventually('lost', async () => (await statesOf(cluster.db, pin))[nodes[0]?.name ?? ''] === 'lost')
  assert.ok(await isPinned(cluster, pin))
  nodes[0]?.run()
  await eventually('whole', () => isWhole(cluster, pin))
})

test('a node that comes back with an empty disk gets its copies again', async () => {
  await using cluster = await simulatedCluster()
  const nodes = REGIONS.map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('three copies', () => isWhole(cluster, pin))
  const [victim] = nodes
  assert.ok(victim !== undefined)
  await victim.stop()
  victim.disk.clear()
  victim.run()
  await eventually('the copy is there again', () => victim.disk.has(rootNumber(1)))
  await eventually('whole', () => isWhole(cluster, pin))
})

test('a drained node is empty when its copies exist elsewhere', async () => {
  await using cluster = await simulatedCluster()
  const nodes = [...REGIONS, 'tokyo'].map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  const pins: PinRow[] = []
  for (let number = 0; number < 8; number++) {
    cluster.world.network.add(rootNumber(number))
    pins.push(await pinRoot(cluster, tenant, rootNumber(number)))
  }
  for (const pin of pins) await eventually('three copies', () => isWhole(cluster, pin))
  const leaving = nodes[0]?.name ?? ''
  await drainNode(cluster.db, leaving)
  await eventually('it is drained', async () => {
    const [row] = await cluster.db.query<{ state: string }>('select state from node where name = $1', [leaving])
    return row?.state === 'drained'
  })
  assert.equal(nodes[0]?.disk.size, 0)
  for (const pin of pins) {
    assert.ok(await isWhole(cluster, pin))
    assert.ok(await isPinned(cluster, pin))
  }
})

test('unpinned content is kept for its grace time, then leaves no bytes and no rows', async () => {
  await using cluster = await simulatedCluster({ settings: { graceMs: 400 } })
  const nodes = REGIONS.map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('three copies', () => isWhole(cluster, pin))
  await unpin(cluster, tenant, pin)
  await eventually(
    'the queue is empty',
    async () => (await cluster.db.query('select from reconcile_queue')).length === 0,
  )
  const early = await cluster.db.query<{ kept: boolean }>(
    `select idle_since > now() - interval '350 ms' as kept from content`,
  )
  if (early[0]?.kept === true) assert.equal(nodes.filter((node) => node.disk.has(rootNumber(1))).length, 3)
  await eventually('no rows', async () => (await cluster.db.query('select from content')).length === 0)
  assert.equal(nodes.filter((node) => node.disk.has(rootNumber(1))).length, 0)
})

test('content pinned again within the grace time is pinned by fresh evidence', async () => {
  await using cluster = await simulatedCluster({ settings: { graceMs: 60_000 } })
  for (const region of REGIONS) cluster.addNode(region)
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('three copies', () => isWhole(cluster, pin))
  await unpin(cluster, tenant, pin)
  // Verified so long ago that it proves nothing to a new pin.
  await cluster.db.run(`update replica set verified_at = verified_at - interval '1 hour'`)
  const [before] = await cluster.db.query<{ at: string }>('select max(verified_at) as at from replica')
  const again = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('pinned again', () => isPinned(cluster, again))
  const [after] = await cluster.db.query<{ fresh: number }>(
    'select count(*)::int as fresh from replica where verified_at > $1',
    [before?.at],
  )
  assert.ok((after?.fresh ?? 0) >= 2)
})

test('a replaced content stays until the pin that replaces it is pinned', async () => {
  await using cluster = await simulatedCluster({ settings: { graceMs: 0 } })
  const nodes = REGIONS.map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const old = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('three copies', () => isWhole(cluster, old))
  const next = await replaceRoot(cluster, tenant, old, rootNumber(2))
  assert.ok(next !== undefined)
  await eventually('the new one failed', async () => (await statusOf(cluster.db, next)) === 'failed')
  assert.equal(nodes.filter((node) => node.disk.has(rootNumber(1))).length, 3)
  cluster.world.network.add(rootNumber(2))
  const other = await newTenant(cluster.db)
  await pinRoot(cluster, other, rootNumber(2))
  await eventually('the new one is pinned', () => isPinned(cluster, next))
  await eventually('the old one is gone', () => nodes.every((node) => !node.disk.has(rootNumber(1))))
})

test('a copy that no row knows is found by inventory, and saves a pin', async () => {
  await using cluster = await simulatedCluster({ settings: { graceMs: 60_000 } })
  const nodes = REGIONS.map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  await eventually('all have joined', () => nodes.every((node) => node.registered !== undefined))
  await nodes[0]?.stop()
  nodes[0]?.disk.add(rootNumber(1))
  nodes[0]?.run()
  await eventually('it is adopted', async () => {
    const rows = await cluster.db.query(`select from replica where state = 'stored'`)
    return rows.length === 1
  })
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('three copies of what no network had', () => isWhole(cluster, pin))
  await eventually('pinned', () => isPinned(cluster, pin))
})

test('a node that takes no writes is passed over, and its allocation goes elsewhere', async () => {
  await using cluster = await simulatedCluster()
  const nodes = [...REGIONS, 'tokyo'].map((region) => cluster.addNode(region))
  const full = nodes[1]
  assert.ok(full !== undefined)
  full.refusal = 'ENOSPC'
  full.fate = () => 'fail'
  const tenant = await newTenant(cluster.db)
  for (let number = 0; number < 4; number++) {
    cluster.world.network.add(rootNumber(number))
    const pin = await pinRoot(cluster, tenant, rootNumber(number))
    await eventually('three copies', async () => verifiedCount(await statesOf(cluster.db, pin)) === 3)
    assert.equal(full.disk.has(rootNumber(number)), false)
  }
})

test('a second control process takes over the roles of one that stopped', async () => {
  await using cluster = await simulatedCluster({ schedulers: 2 })
  for (const region of REGIONS) cluster.addNode(region)
  const roles = await eventually('both roles are held', async () => {
    const rows = await cluster.db.query<{ role: string }>('select role from leader order by role')
    return rows.length === 2 && rows
  })
  assert.deepEqual(
    roles.map(({ role }) => role),
    ['detector', 'sweeper'],
  )
  await cluster.db.run(`update leader set holder = 'somebody else', until = now() - interval '1 s'`)
  await eventually('held again, with a higher epoch', async () => {
    const rows = await cluster.db.query(`select from leader where holder <> 'somebody else' and epoch > 1`)
    return rows.length === 2
  })
})
