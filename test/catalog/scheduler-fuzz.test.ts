import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Database } from '../../services/catalog/database.ts'
import type { PinRow } from '../../services/catalog/pins.ts'
import type { Policy } from '../../services/core/policy.ts'
import { SECOND_MS } from '../../services/core/units.ts'
import { eventually } from '../support/eventually.ts'
import { seededRandom, type Random } from '../support/seeded-random.ts'
import { simulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import type { SimulatedNode } from '../support/simulated-node.ts'
import { newTenant, pinRoot, replaceRoot, rootNumber, unpin } from '../support/wanted.ts'

const SEEDS = [1]
const DURATION_MS = 20 * SECOND_MS
const REGIONS = ['shanghai', 'frankfurt', 'virginia', 'tokyo']
const NODES = 8
const ROOTS = 25
const USERS = 6
/** So few that roots are often wanted by nobody, and then again. */
const PINS_OF_USER = 3
const POLICY: Policy = { copies: { min: 2, target: 3 }, rules: [{ spread: 'region', distinct: 2 }] }
/** From the loss of a disk until the control plane has heard of it no database can know. */
const BLIND_MS = 4 * SECOND_MS

interface Fuzz {
  cluster: SimulatedCluster
  nodes: SimulatedNode[]
  random: Random
  /** What users have pinned, by user. */
  pins: Map<number, Map<PinRow, string>>
  /** Roots whose copy vanished with a disk, and until when that excuses a missing copy. */
  blindUntil: Map<string, number>
  counts: Record<string, number>
  signal: AbortSignal
}

for (const seed of SEEDS) {
  test(`pins hold and everything comes to rest, whatever nodes and users do (seed ${seed})`, async (t) => {
    await using cluster = await simulatedCluster({ schedulers: 2, settings: { graceMs: 100, leaseMs: 400 } })
    const stop = new AbortController()
    const random = seededRandom(seed)
    const nodes = Array.from({ length: NODES }, (_, index) => cluster.addNode(REGIONS[index % REGIONS.length] ?? ''))
    const fuzz: Fuzz = {
      cluster,
      nodes,
      random,
      pins: new Map(),
      blindUntil: new Map(),
      counts: {},
      signal: stop.signal,
    }
    for (let number = 0; number < ROOTS; number++) cluster.world.network.add(rootNumber(number))
    for (const node of nodes) node.fate = () => fate(fuzz)
    const tenants = await Promise.all(Array.from({ length: USERS }, () => newTenant(cluster.db, POLICY)))
    const actors = [...tenants.map((tenant) => use(fuzz, tenant)), harm(fuzz), watch(fuzz)]
    setTimeout(() => stop.abort(), DURATION_MS)
    await Promise.all(actors)

    for (const node of nodes) node.fate = () => 'done'
    for (const node of nodes) if (!node.isAlive) node.run()
    await eventually('everything is at rest', () => isAtRest(fuzz), { withinMs: 30_000, everyMs: 100 })
    await checkRest(fuzz)
    t.diagnostic(JSON.stringify(fuzz.counts))
  })
}

function count({ counts }: Fuzz, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1
}

/** One in eight pieces of work goes wrong. */
function fate(fuzz: Fuzz): ReturnType<SimulatedNode['fate']> {
  const fates = ['crash', 'fail', 'ignore'] as const
  const chosen = fuzz.random() < 0.12 ? (fates[Math.floor(fuzz.random() * fates.length)] ?? 'done') : 'done'
  count(fuzz, chosen)
  return chosen
}

async function use(fuzz: Fuzz, tenant: number): Promise<void> {
  const { cluster, random, signal } = fuzz
  const mine = new Map<PinRow, string>()
  fuzz.pins.set(tenant, mine)
  while (!signal.aborted) {
    const root = rootNumber(Math.floor(random() * ROOTS))
    const old = [...mine.keys()][Math.floor(random() * mine.size)]
    const what = random()
    if (old !== undefined && what < 0.4) {
      count(fuzz, 'unpin')
      mine.delete(old)
      await unpin(cluster, tenant, old)
    } else if (old !== undefined && what < 0.5) {
      count(fuzz, 'replace')
      mine.delete(old)
      const next = await replaceRoot(cluster, tenant, old, root)
      if (next !== undefined) mine.set(next, root)
    } else if (mine.size < PINS_OF_USER) {
      count(fuzz, 'pin')
      mine.set(await pinRoot(cluster, tenant, root), root)
    }
    await delay(random() * 60)
  }
}

/** Stops one node at a time, sometimes for good measure with its disk, and lets it come back. */
async function harm(fuzz: Fuzz): Promise<void> {
  const { nodes, random, signal, blindUntil } = fuzz
  while (!signal.aborted) {
    await delay(random() * 1_500)
    const node = nodes[Math.floor(random() * NODES)]
    if (node === undefined || signal.aborted) continue
    count(fuzz, 'stop')
    await node.stop()
    if (random() < 0.3) {
      count(fuzz, 'wipe')
      for (const root of node.disk) blindUntil.set(root, performance.now() + BLIND_MS)
      node.disk.clear()
    }
    await delay(random() * 2_500)
    node.run()
  }
}

/** Whoever looks at any time finds every pinned pin with at least its minimum of copies on disks, in two regions. */
async function watch(fuzz: Fuzz): Promise<void> {
  const { cluster, nodes, signal, blindUntil } = fuzz
  while (!signal.aborted) {
    const rows = await cluster.db.query<{ id: string; cid: string }>(`select id, cid from pin where status = 'pinned'`)
    for (const { cid } of rows) {
      if ((blindUntil.get(cid) ?? 0) > performance.now()) continue
      count(fuzz, 'looked')
      const holders = nodes.filter(({ disk }) => disk.has(cid))
      assert.ok(holders.length >= POLICY.copies.min, `${cid} is pinned and lies on ${holders.length} disks`)
      assert.ok(new Set(holders.map(({ region }) => region)).size >= 2, `${cid} lies in one region`)
    }
    await delay(5)
  }
}

/** Nothing is left to do. A node that has just come back tells what lies on its disk in its own time. */
async function isAtRest({ cluster: { db }, nodes }: Fuzz): Promise<boolean> {
  const [open] = await db.query<{ open: number }>(
    `select ((select count(*) from reconcile_queue)
           + (select count(*) from replica where state <> 'verified' or recheck or lease is not null)
           + (select count(*) from pin where status <> 'pinned' or replaces_content_id is not null)
           + (select count(*) from content where pins = 0))::int as open`,
  )
  return open?.open === 0 && isDeepStrictEqual(copiesOnDisks(nodes), await copiesInRows(db))
}

/** Lines of node and root. */
function copiesOnDisks(nodes: readonly SimulatedNode[]): string[] {
  return nodes.flatMap(({ name, disk }) => [...disk].map((cid) => `${name} ${cid}`)).sort()
}

async function copiesInRows(db: Database): Promise<string[]> {
  const rows = await db.query<{ node: string; cid: string }>(
    `select distinct n.name as node, p.cid from replica r
       join node n on n.id = r.node_id join pin p on p.content_id = r.content_id`,
  )
  return rows.map(({ node, cid }) => `${node} ${cid}`).sort()
}

async function checkRest({ cluster: { db }, nodes, pins }: Fuzz): Promise<void> {
  const wanted = new Set([...pins.values()].flatMap((mine) => [...mine.values()]))
  const copies = await copiesInRows(db)
  assert.deepEqual(copiesOnDisks(nodes), copies, 'disks and rows tell the same')
  assert.equal(copies.length, wanted.size * POLICY.copies.target, 'every root has as many copies as wanted')
  const wrong = await db.query(
    `select c.id from content c where c.pins <> (select count(*) from pin p where p.content_id = c.id)`,
  )
  assert.deepEqual(wrong, [], 'contents count their pins')
  for (const [tenantId, mine] of pins) {
    const [usage] = await db.query<{ pins: number }>(
      'select pins::int as pins from tenant_usage where tenant_id = $1',
      [tenantId],
    )
    assert.equal(usage?.pins, mine.size, 'the quota counts the pins')
  }
  const [stat] = await db.query<{ deadlocks: number }>(
    'select deadlocks::int as deadlocks from pg_stat_database where datname = current_database()',
  )
  assert.equal(stat?.deadlocks, 0)
}
