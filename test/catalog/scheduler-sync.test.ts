import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { createJoinToken, listJoinTokens, revokeJoinToken } from '../../services/catalog/nodes-joining.ts'
import { touchController } from '../../services/catalog/directory.ts'
import { setTenantLimits } from '../../services/catalog/tenants.ts'
import { hasCode, type ErrorCode } from '../../services/core/errors.ts'
import { registrationMessage, type Registration, type Work } from '../../services/core/sync.ts'
import { DAY_MS, GIB, MINUTE_MS } from '../../services/core/units.ts'
import { eventually } from '../support/eventually.ts'
import { simulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import { SimulatedNode } from '../support/simulated-node.ts'
import { newTenant, pinRoot, rootNumber, statesOf, statusOf, unpin } from '../support/wanted.ts'

const ONE_COPY = { copies: { min: 1, target: 1 }, rules: [] }
const FIGURES = { bytes: 1_000, blocks: 4 }

/** Nodes of these tests do nothing by themselves. */
function still(cluster: SimulatedCluster, name: string, region = 'frankfurt'): SimulatedNode {
  return new SimulatedNode(cluster.sync, cluster.world, { name, region, joinToken: cluster.joinToken })
}

async function nextWork(node: SimulatedNode, verb: Work['verb'] = 'hold'): Promise<Work> {
  return await eventually(`work to ${verb}`, async () => (await node.sync()).work.find((work) => work.verb === verb))
}

async function refusal(doing: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(doing, (error) => hasCode(error, code))
}

async function registration(cluster: SimulatedCluster, node: SimulatedNode): Promise<Registration> {
  const { challenge } = await cluster.sync.challenge()
  return {
    publicKey: node.publicKey,
    joinToken: cluster.joinToken,
    labels: { region: 'Frankfurt am Main' },
    capacityBytes: GIB,
    transfer: 'f:1',
    gateway: 'http://f',
    challenge,
    proof: node.sign(registrationMessage(challenge, node.publicKey)),
  }
}

test('a node joins by its key and a join token, and is named after its region', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  const [first, second] = [still(cluster, 'a'), still(cluster, 'b')]
  const one = await cluster.sync.register(await registration(cluster, first))
  const two = await cluster.sync.register(await registration(cluster, second))
  assert.deepEqual([one.name, one.epoch, two.name], ['frankfurt-am-main-1', 1, 'frankfurt-am-main-2'])
})

test('a wrong proof, a used challenge, and no valid join token are refused', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  const node = still(cluster, 'a')
  const forged = await registration(cluster, node)
  await refusal(cluster.sync.register({ ...forged, publicKey: still(cluster, 'b').publicKey }), 'UNAUTHORIZED')
  await refusal(cluster.sync.register({ ...(await registration(cluster, node)), joinToken: 'guess' }), 'UNAUTHORIZED')
  const { joinToken: _, ...without } = await registration(cluster, node)
  await refusal(cluster.sync.register(without), 'UNAUTHORIZED')
  await revokeJoinToken(cluster.db, 'test')
  await refusal(cluster.sync.register(await registration(cluster, node)), 'UNAUTHORIZED')
  await createJoinToken(cluster.db, { name: 'test', token: cluster.joinToken })
  const good = await registration(cluster, node)
  await cluster.sync.register(good)
  await refusal(cluster.sync.register(good), 'UNAUTHORIZED')
  assert.deepEqual(
    (await listJoinTokens(cluster.db)).map(({ name, revokedAt }) => [name, revokedAt]),
    [['test', null]],
  )
})

test('the name of another node is refused', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  await still(cluster, 'same').register()
  await refusal(still(cluster, 'same').register(), 'CONFLICT')
})

test('registering again ends the session before, needs no token, and keeps the node', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  const node = still(cluster, 'a')
  const before = await node.register()
  await revokeJoinToken(cluster.db, 'test')
  const after = await node.register()
  assert.deepEqual([after.nodeId, after.name, after.epoch], [before.nodeId, 'a', before.epoch + 1])
  node.registered = before
  await refusal(node.sync(), 'STALE_SESSION')
})

test('what a node obtained before it ended is taken off its disk, though it was unpinned before that was known', async () => {
  await using cluster = await simulatedCluster({ settings: { graceMs: 100 } })
  const node = still(cluster, 'a')
  await node.sync()
  const tenant = await newTenant(cluster.db, ONE_COPY)
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  cluster.world.network.add(rootNumber(1))
  node.perform(await nextWork(node))
  assert.equal(node.disk.size, 1)
  await node.register()
  await node.sync({ slots: 0, inventory: node.inventory() })
  await unpin(cluster, tenant, pin)
  await eventually('the decision that it has to go', async () => {
    return (await cluster.db.query(`select from replica where state <> 'releasing'`)).length === 0
  })
  await eventually('the disk is empty', async () => {
    const { work } = await node.sync()
    await node.sync({ slots: 0, reports: work.flatMap((piece) => node.perform(piece)) })
    return node.disk.size === 0
  })
})

test('only the present lease counts: repeated, reordered and old reports change nothing', async () => {
  await using cluster = await simulatedCluster()
  const node = still(cluster, 'a')
  await node.sync()
  const tenant = await newTenant(cluster.db, ONE_COPY)
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  const { contentId, lease } = await nextWork(node)
  const key = { contentId, lease }

  const forged = await node.sync({ reports: [{ outcome: 'verified', contentId, lease: '999999', ...FIGURES }] })
  assert.deepEqual(forged.stale, ['999999'])
  assert.deepEqual(await statesOf(cluster.db, pin), { a: 'allocated' })

  const reports = [
    { outcome: 'verified' as const, ...key, ...FIGURES },
    { outcome: 'stored' as const, ...key, ...FIGURES },
    { outcome: 'progress' as const, ...key, bytes: 1, blocks: 1, phase: 'fetch' },
  ]
  assert.deepEqual((await node.sync({ reports })).stale, [])
  await eventually('pinned', async () => (await statusOf(cluster.db, pin)) === 'pinned')
  const again = await node.sync({ reports })
  assert.deepEqual(again.stale, [lease, lease, lease])
  const late = { outcome: 'failed' as const, ...key, code: 'TIMED_OUT', message: 'late', permanent: true }
  await node.sync({ reports: [late, { outcome: 'released', ...key }] })
  assert.deepEqual(await statesOf(cluster.db, pin), { a: 'verified' })
})

test('a copy that its disk has damaged is counted no more until it was read back, and is healed at once', async () => {
  await using cluster = await simulatedCluster()
  const [a, b] = [still(cluster, 'a'), still(cluster, 'b', 'virginia')]
  for (const node of [a, b]) await node.sync()
  const pin = await pinRoot(cluster, await newTenant(cluster.db), rootNumber(1))
  for (const node of [a, b]) {
    const { contentId, lease } = await nextWork(node)
    await node.sync({ reports: [{ outcome: 'verified', contentId, lease, ...FIGURES }] })
  }
  await eventually('pinned', async () => (await statusOf(cluster.db, pin)) === 'pinned')

  await b.sync({ damaged: [rootNumber(1), rootNumber(2)], slots: 0 })
  assert.deepEqual(await statesOf(cluster.db, pin), { a: 'verified', b: 'allocated' })
  await eventually('not pinned', async () => (await statusOf(cluster.db, pin)) === 'pinning')
  const work = await nextWork(b)
  assert.ok(work.verb === 'hold')
  assert.deepEqual(work.sources, ['a'])
  // Told again while it is made whole: nothing is to be doubted.
  await b.sync({ damaged: [rootNumber(1)], slots: 0 })
  const { contentId, lease } = work
  assert.deepEqual((await b.sync({ reports: [{ outcome: 'verified', contentId, lease, ...FIGURES }] })).stale, [])
  await eventually('pinned again', async () => (await statusOf(cluster.db, pin)) === 'pinned')
})

test('a lease that ended is given out again, and who held it before is told to stop', async () => {
  await using cluster = await simulatedCluster({ settings: { leaseMs: 100 } })
  const node = still(cluster, 'a')
  await node.sync()
  const pin = await pinRoot(cluster, await newTenant(cluster.db, ONE_COPY), rootNumber(1))
  const first = await nextWork(node)
  const second = await nextWork(node)
  assert.notEqual(second.lease, first.lease)
  const report = { outcome: 'verified' as const, contentId: first.contentId, lease: first.lease, ...FIGURES }
  const { stale } = await node.sync({ reports: [report] })
  assert.deepEqual(stale, [first.lease])
  assert.deepEqual(await statesOf(cluster.db, pin), { a: 'allocated' })
})

test('progress keeps a lease', async () => {
  await using cluster = await simulatedCluster({ settings: { leaseMs: 400 } })
  const node = still(cluster, 'a')
  await node.sync()
  await pinRoot(cluster, await newTenant(cluster.db, ONE_COPY), rootNumber(1))
  const { contentId, lease } = await nextWork(node)
  const begin = performance.now()
  while (performance.now() - begin < 1_000) {
    const report = { outcome: 'progress' as const, contentId, lease, bytes: 1, blocks: 1, phase: 'fetch' }
    assert.deepEqual((await node.sync({ reports: [report] })).stale, [])
  }
})

test('a removal whose lease ended is not taken for a copy when the content is wanted again', async () => {
  await using cluster = await simulatedCluster({ settings: { graceMs: 0, leaseMs: 100 } })
  const node = still(cluster, 'a')
  await node.sync()
  const tenant = await newTenant(cluster.db, ONE_COPY)
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  const { contentId, lease } = await nextWork(node)
  await node.sync({ reports: [{ outcome: 'verified', contentId, lease, ...FIGURES }] })
  await eventually('pinned', async () => (await statusOf(cluster.db, pin)) === 'pinned')
  await cluster.db.run('delete from pin')
  await cluster.db.run('delete from content_policy')
  await cluster.db.run('update content set pins = 0, idle_since = now()')
  const removal = await nextWork(node, 'release')
  const again = await pinRoot(cluster, tenant, rootNumber(1))
  await eventually('allocated', async () => (await statesOf(cluster.db, again))['a'] === 'allocated')
  assert.notEqual(await statusOf(cluster.db, again), 'pinned')
  const report = { outcome: 'released' as const, contentId, lease: removal.lease }
  assert.deepEqual((await node.sync({ reports: [report] })).stale, [removal.lease])
  assert.equal((await nextWork(node)).verb, 'hold')
})

test('a waiting node hears of its work at once', async () => {
  await using cluster = await simulatedCluster({ settings: { lookMs: 20_000, maxWaitMs: 20_000 } })
  const node = still(cluster, 'a')
  await node.sync()
  const waiting = node.sync({ waitMs: 20_000 })
  await pinRoot(cluster, await newTenant(cluster.db, ONE_COPY), rootNumber(1))
  const deadline = AbortSignal.timeout(10_000)
  const answer = await Promise.race([
    waiting,
    new Promise<never>((_, reject) => {
      deadline.addEventListener('abort', () => reject(new Error('it was not woken')))
    }),
  ])
  assert.equal(answer.work.length, 1)
})

test('a hint that was lost only costs time', async () => {
  await using cluster = await simulatedCluster({ settings: { lookMs: 50 } })
  const node = still(cluster, 'a')
  await node.sync()
  const mute = { db: cluster.db, wakes: { ...cluster.wakes, announce: () => undefined } }
  await pinRoot(mute, await newTenant(cluster.db, ONE_COPY), rootNumber(1))
  assert.equal((await nextWork(node)).root, rootNumber(1))
})

test('work for a node that has gone meanwhile is taken back', async () => {
  await using cluster = await simulatedCluster({ settings: { maxWaitMs: 20_000 } })
  const node = still(cluster, 'a')
  await node.sync()
  const gone = new AbortController()
  const waiting = node.sync({ waitMs: 20_000 }, gone.signal)
  gone.abort()
  await assert.rejects(waiting)
  await pinRoot(cluster, await newTenant(cluster.db, ONE_COPY), rootNumber(1))
  assert.equal((await nextWork(node)).root, rootNumber(1))
})

test('sources come in order: verified before stored, the same region before others; origins only without sources', async () => {
  await using cluster = await simulatedCluster()
  const names = ['far', 'near', 'unsure', 'asks']
  const nodes = names.map((name) => still(cluster, name, name === 'near' || name === 'asks' ? 'frankfurt' : 'tokyo'))
  for (const node of nodes) await node.sync()
  const tenant = await newTenant(cluster.db, { copies: { min: 1, target: 4 }, rules: [] })
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await cluster.db.run(`update content set origins = '{/ip4/192.0.2.1/tcp/1}'`)
  const first = await eventually('somebody seeks', async () => {
    for (const node of nodes) {
      const [work] = (await node.sync()).work
      if (work !== undefined) return work
    }
    return undefined
  })
  assert.ok(first.verb === 'hold')
  assert.deepEqual([first.sources, first.origins], [[], ['/ip4/192.0.2.1/tcp/1']])
  await cluster.db.run(
    `update replica r set state = case n.name when 'unsure' then 'stored' when 'asks' then 'allocated' else 'verified' end,
            verified_at = now(), lease = null, due_at = case n.name when 'asks' then now() else 'infinity' end
       from node n where n.id = r.node_id`,
  )
  const second = await nextWork(nodes[3] as SimulatedNode)
  assert.ok(second.verb === 'hold' && second.contentId === pin.contentId)
  assert.deepEqual([second.sources, second.origins], [['near', 'far', 'unsure'], []])
})

test('a hold is limited by the most generous tenant, and a pin over its own limit fails alone', async () => {
  await using cluster = await simulatedCluster()
  const node = still(cluster, 'a')
  await node.sync()
  const [small, large] = [await newTenant(cluster.db, ONE_COPY), await newTenant(cluster.db, ONE_COPY)]
  await setTenantLimits(cluster.db, small, { maxPins: undefined, maxPinBytes: 999 })
  await setTenantLimits(cluster.db, large, { maxPins: undefined, maxPinBytes: 5_000 })
  const [over, within] = [await pinRoot(cluster, small, rootNumber(1)), await pinRoot(cluster, large, rootNumber(1))]
  const work = await nextWork(node)
  assert.ok(work.verb === 'hold')
  assert.equal(work.maxBytes, 5_000)
  const key = { contentId: work.contentId, lease: work.lease }
  await node.sync({ reports: [{ outcome: 'verified', ...key, ...FIGURES }] })
  await eventually('pinned', async () => (await statusOf(cluster.db, within)) === 'pinned')
  assert.equal(await statusOf(cluster.db, over), 'failed')
})

test('the directory names nodes and controllers, and is sent only when it changed', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0, settings: { lookMs: 0 } })
  const node = still(cluster, 'a')
  await touchController(cluster.db, node.publicKey)
  const { directory } = await node.sync()
  assert.deepEqual(directory?.controllers, [node.publicKey])
  assert.deepEqual(
    directory?.nodes.map(({ name, publicKey, liveness }) => [name, publicKey, liveness]),
    [['a', node.publicKey, 'up']],
  )
  assert.equal((await node.sync()).directory, undefined)
  await still(cluster, 'b').register()
  assert.equal((await node.sync()).directory?.nodes.length, 2)
})

test('clocks of processes decide nothing', async () => {
  await using cluster = await simulatedCluster({ settings: { graceMs: MINUTE_MS } })
  const nodes = ['shanghai', 'frankfurt', 'virginia'].map((region) => cluster.addNode(region))
  const tenant = await newTenant(cluster.db)
  cluster.world.network.add(rootNumber(1))
  const pin = await pinRoot(cluster, tenant, rootNumber(1))
  await cluster.db.run(`update pin set expires_at = now() + interval '1 hour'`)
  await eventually('pinned', async () => (await statusOf(cluster.db, pin)) === 'pinned')
  for (const shiftMs of [400 * DAY_MS, -2 * DAY_MS]) {
    mock.timers.enable({ apis: ['Date'], now: Date.now() + shiftMs })
    try {
      const [before] = await cluster.db.query<{ at: string }>('select min(at) as at from node_beat')
      await eventually('passes and beats go on', async () => {
        const rows = await cluster.db.query('select from node_beat where at > $1', [before?.at])
        return rows.length === nodes.length
      })
    } finally {
      mock.timers.reset()
    }
  }
  assert.equal(await statusOf(cluster.db, pin), 'pinned')
  assert.deepEqual(
    Object.values(await statesOf(cluster.db, pin)).filter((state) => state !== 'verified'),
    [],
  )
})

test('searches in the network take no more places than a node gives them, and others pass by', async () => {
  await using cluster = await simulatedCluster()
  const node = still(cluster, 'a')
  await node.sync()
  const tenant = await newTenant(cluster.db, ONE_COPY)
  for (let root = 0; root < 12; root++) await pinRoot(cluster, tenant, rootNumber(root))
  await eventually('all wait for the node', async () => {
    const [row] = await cluster.db.query<{ due: number }>(
      'select count(*)::int as due from replica where due_at <= now()',
    )
    return row?.due === 12
  })
  const searches = await node.sync({ slots: 16, seeks: 5 })
  assert.equal(searches.work.length, 5)
  assert.deepEqual((await node.sync({ slots: 16, seeks: 0 })).work, [])

  const neighbour = await newTenant(cluster.db, ONE_COPY)
  const firstCopy = { node: 'a', epoch: node.registered?.epoch ?? 0, ...FIGURES }
  const cid = CID.parse(rootNumber(100))
  const acceptor = createPinAcceptor(cluster.db, cluster.wakes)
  await acceptor.accept(neighbour, { cid, cidText: rootNumber(100), firstCopy })
  const work = await eventually('the upload', async () => (await node.sync({ slots: 16, seeks: 0 })).work[0])
  assert.equal(work.root, rootNumber(100))
})

test('accounts take turns where roots are searched for, however many one of them has', async () => {
  await using cluster = await simulatedCluster({ settings: { retryMs: DAY_MS, maxRetryMs: DAY_MS, leaseMs: DAY_MS } })
  const node = still(cluster, 'a')
  await node.sync()
  const waiting = (count: number): Promise<unknown> =>
    eventually('all wait for the node', async () => {
      const [row] = await cluster.db.query<{ due: number }>(
        'select count(*)::int as due from replica where due_at <= now() and lease is null',
      )
      return row?.due === count
    })
  const greedy = await newTenant(cluster.db, ONE_COPY)
  const roots = Array.from({ length: 300 }, (_, index) => rootNumber(index))
  const acceptor = createPinAcceptor(cluster.db, cluster.wakes)
  await acceptor.acceptMany(
    greedy,
    roots.map((root) => ({ cid: CID.parse(root), cidText: root })),
  )
  await waiting(roots.length)
  const neighbour = await newTenant(cluster.db, ONE_COPY)
  const modest = [rootNumber(1_000), rootNumber(1_001)]
  for (const root of modest) await pinRoot(cluster, neighbour, root)
  await waiting(roots.length + modest.length)
  const { work } = await node.sync({ slots: 16, seeks: 10 })
  assert.equal(work.length, 10, 'no place is left empty')
  assert.deepEqual(
    modest.filter((root) => !work.some((given) => given.root === root)),
    [],
  )
})
