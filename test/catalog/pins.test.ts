import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { deletePin, expirePins, releaseReplaced } from '../../services/catalog/pins-remove.ts'
import { replacePin } from '../../services/catalog/pins-replace.ts'
import { getPin } from '../../services/catalog/pins.ts'
import { roomOf, setTenantLimits } from '../../services/catalog/tenants.ts'
import type { Sql } from '../../services/catalog/database.ts'
import { DAG_PB } from '../../services/core/cid.ts'
import { assertCountsAreExact } from '../support/catalog-invariants.ts'
import { cidOf, newPin, withTenants } from '../support/pins.ts'

const queued = (db: Sql) =>
  db
    .query<{ id: string }>('select distinct content_id as id from reconcile_queue order by id')
    .then((rows) => rows.map(({ id }) => id))

async function addNode(db: Sql, name: string): Promise<number> {
  const [node] = await db.query<{ id: number }>(
    `insert into node (name, public_key, labels, transfer, gateway) values ($1, $2, '{"region":"here"}', '', '') returning id`,
    [name, Buffer.from(name)],
  )
  return node?.id ?? 0
}

test('an accepted pin is answered as it was written, queued, and waits for placement', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const wanted = newPin('hello', {
    name: 'Hello',
    origins: ['/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW'],
    meta: { app: 'x' },
    expiresAt: '2101-01-01T00:00:00.000000Z',
  })
  const pin = await createPinAcceptor(db).accept(alice, wanted)
  assert.deepEqual(await getPin(db, alice, pin.id), pin)
  assert.equal(pin.status, 'queued')
  assert.equal(pin.policy, 'default')
  assert.match(pin.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  assert.match(pin.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  assert.deepEqual(await queued(db), [pin.contentId])
  await assertCountsAreExact(db)
})

test('the same root again, as CIDv0 or of another tenant, is another pin of the same content', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const acceptor = createPinAcceptor(db)
  const v1 = cidOf('page', DAG_PB)
  const v0 = CID.createV0(v1.multihash as Parameters<typeof CID.createV0>[0])
  const pins = await Promise.all([
    acceptor.accept(alice, { cid: v1, cidText: v1.toString() }),
    acceptor.accept(alice, { cid: v0, cidText: v0.toString() }),
    acceptor.accept(bob, { cid: v0, cidText: v0.toString() }),
  ])
  assert.equal(new Set(pins.map(({ contentId }) => contentId)).size, 1)
  assert.equal(new Set(pins.map(({ id }) => id)).size, 3)
  assert.deepEqual(
    pins.map(({ cid }) => cid),
    [v1.toString(), v0.toString(), v0.toString()],
  )
  await assertCountsAreExact(db)
})

test('each pin of a tenant has a millisecond of its own as `created`', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const acceptor = createPinAcceptor(db)
  const pins = await acceptor.acceptMany(
    alice,
    Array.from({ length: 700 }, (_, index) => newPin(`item ${index}`)),
  )
  const created = pins.map((pin) => (pin instanceof Error ? assert.fail(pin.message) : pin.createdAt))
  assert.equal(new Set(created.map((text) => text.slice(0, -4))).size, 700)
  await assertCountsAreExact(db)
})

test('the quota admits exactly its number, also when many come at once', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  await setTenantLimits(db, alice, { maxPins: 10, maxPinBytes: undefined })
  // Two acceptors, as two processes have.
  const acceptors = [createPinAcceptor(db), createPinAcceptor(db)]
  const attempt = async (index: number): Promise<string> => {
    const acceptor = acceptors[index % 2] ?? assert.fail()
    return acceptor.accept(alice, newPin(`item ${index}`)).then(
      () => 'accepted',
      (error: { code: string }) => error.code,
    )
  }
  const answers = await Promise.all(Array.from({ length: 30 }, (_, index) => attempt(index)))
  assert.equal(answers.filter((answer) => answer === 'accepted').length, 10)
  assert.equal(answers.filter((answer) => answer === 'INSUFFICIENT_FUNDS').length, 20)
  await acceptors[0]?.accept(bob, newPin('of another tenant'))
  await assertCountsAreExact(db)
})

test('in a batch each pin has its own fate', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const answers = await createPinAcceptor(db).acceptMany(alice, [
    newPin('good'),
    newPin('of no policy', { policy: 'nonsense' }),
    newPin('good too'),
  ])
  assert.deepEqual(
    answers.map((answer) => (answer instanceof Error ? answer.code : answer.status)),
    ['queued', 'BAD_REQUEST', 'queued'],
  )
  await assertCountsAreExact(db)
})

test('a pin that the database cannot store does not take its neighbours with it', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const acceptor = createPinAcceptor(db)
  const [good, bad] = await Promise.allSettled([
    acceptor.accept(alice, newPin('good')),
    acceptor.accept(alice, newPin('bad', { name: 'a NUL \u0000 cannot be stored' })),
  ])
  assert.equal(good.status, 'fulfilled')
  assert.equal(bad.status, 'rejected')
  await assertCountsAreExact(db)
})

test('deleting takes the claim back, makes the last one idle, and can be repeated', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const acceptor = createPinAcceptor(db)
  const first = await acceptor.accept(alice, newPin('shared'))
  const second = await acceptor.accept(bob, newPin('shared'))
  assert.equal(await deletePin(db, bob, first.id), false, "another tenant's pin is no pin")
  assert.equal(await deletePin(db, bob, 'nonsense'), false)
  assert.equal(await deletePin(db, alice, first.id), true)
  assert.equal(await deletePin(db, alice, first.id), false)
  assert.equal(await getPin(db, alice, first.id), undefined)
  await assertCountsAreExact(db)
  await db.run('delete from reconcile_queue')
  assert.equal(await deletePin(db, bob, second.id), true)
  await assertCountsAreExact(db)
  assert.deepEqual(await queued(db), [second.contentId])
})

test('a replaced pin is gone at once, and its content is kept until the new one is pinned', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const old = await createPinAcceptor(db).accept(alice, newPin('old'))
  const replaced = await replacePin(db, alice, old.id, newPin('new'))
  assert.ok(replaced !== undefined)
  assert.equal(await getPin(db, alice, old.id), undefined)
  assert.equal(await replacePin(db, alice, old.id, newPin('again')), undefined)
  assert.equal(await releaseReplaced(db, 10), 0)
  const claims = () => db.query('select pins from content where id = $1', [old.contentId])
  assert.deepEqual(await claims(), [{ pins: 1 }])
  await assertCountsAreExact(db)

  await db.run(`update pin set status = 'pinned' where id = $1`, [replaced.id])
  assert.equal(await releaseReplaced(db, 10), 1)
  assert.deepEqual(await claims(), [{ pins: 0 }])
  assert.equal(await releaseReplaced(db, 10), 0)
  await assertCountsAreExact(db)
})

test('when the new pin fails, the replaced content is kept for a day', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const old = await createPinAcceptor(db).accept(alice, newPin('old'))
  const replaced = await replacePin(db, alice, old.id, newPin('new'))
  await db.run(`update pin set status = 'failed', status_at = now() - interval '23 hours' where id = $1`, [
    replaced?.id,
  ])
  assert.equal(await releaseReplaced(db, 10), 0)
  await db.run(`update pin set status_at = now() - interval '25 hours'`)
  assert.equal(await releaseReplaced(db, 10), 1)
  await assertCountsAreExact(db)
})

test('replaced again before it was pinned, the pin passes on what was last whole', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const first = await createPinAcceptor(db).accept(alice, newPin('first'))
  const second = await replacePin(db, alice, first.id, newPin('second'))
  const third = await replacePin(db, alice, second?.id ?? '', newPin('third'))
  const counts = await db.query('select id, pins from content order by id')
  assert.deepEqual(counts, [
    { id: first.contentId, pins: 1 },
    { id: second?.contentId, pins: 0 },
    { id: third?.contentId, pins: 1 },
  ])
  await assertCountsAreExact(db)
  assert.equal(await deletePin(db, alice, third?.id ?? ''), true)
  await assertCountsAreExact(db)
})

test('a replacement that is refused leaves the old pin as it was', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const old = await createPinAcceptor(db).accept(alice, newPin('old'))
  await assert.rejects(replacePin(db, alice, old.id, newPin('new', { policy: 'nonsense' })), { code: 'BAD_REQUEST' })
  assert.deepEqual(await getPin(db, alice, old.id), old)
  await assertCountsAreExact(db)
})

test('a replacement needs no room in the quota', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  await setTenantLimits(db, alice, { maxPins: 1, maxPinBytes: undefined })
  const old = await createPinAcceptor(db).accept(alice, newPin('old'))
  assert.ok((await replacePin(db, alice, old.id, newPin('new'))) !== undefined)
  await assertCountsAreExact(db)
})

test('pins whose time is over are removed by the clock of the database', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const acceptor = createPinAcceptor(db)
  await acceptor.accept(alice, newPin('over', { expiresAt: '2001-01-01T00:00:00Z' }))
  await acceptor.accept(bob, newPin('over too', { expiresAt: '2001-01-01T00:00:00Z' }))
  const later = await acceptor.accept(alice, newPin('later', { expiresAt: '2101-01-01T00:00:00Z' }))
  assert.equal(await expirePins(db, 10), 2)
  assert.equal(await expirePins(db, 10), 0)
  assert.notEqual(await getPin(db, alice, later.id), undefined)
  await assertCountsAreExact(db)
})

test('the copy that an upload left is noted with its pin, and claims nothing that the node has not said since', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  await addNode(db, 'frankfurt-1')
  const acceptor = createPinAcceptor(db)
  const figures = { bytes: 1_000, blocks: 3 }
  const pin = await acceptor.accept(
    alice,
    newPin('a', { firstCopy: { node: 'frankfurt-1', epoch: 1, ...figures }, profile: 'unixfs-v1-2025' }),
  )
  await acceptor.accept(alice, newPin('b', { firstCopy: { node: 'frankfurt-1', epoch: 7, ...figures } }))
  await acceptor.accept(alice, newPin('c', { firstCopy: { node: 'unknown', epoch: 1, ...figures } }))
  assert.deepEqual(await db.query('select state, done_bytes::int as bytes from replica order by content_id'), [
    { state: 'stored', bytes: 1_000 },
    { state: 'allocated', bytes: 1_000 },
  ])
  assert.deepEqual({ bytes: pin.bytes, blocks: pin.blocks, status: pin.status }, { ...figures, status: 'queued' })
})

test('a pin of content that others have pinned is not pinned by that: old evidence is asked for again', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const node = await addNode(db, 'frankfurt-1')
  const acceptor = createPinAcceptor(db)
  const first = await acceptor.accept(alice, newPin('shared'))
  await db.run(`insert into replica (content_id, node_id, state, verified_at) values ($1, $2, 'verified', now())`, [
    first.contentId,
    node,
  ])
  const recheck = () => db.query('select recheck from replica')
  assert.equal((await acceptor.accept(bob, newPin('shared'))).status, 'queued')
  assert.deepEqual(await recheck(), [{ recheck: false }])
  await db.run(`update replica set verified_at = now() - interval '2 minutes'`)
  assert.equal((await acceptor.accept(bob, newPin('shared'))).status, 'queued')
  assert.deepEqual(await recheck(), [{ recheck: true }])
})

test('content that was given up gets new tries when somebody pins it again', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const node = await addNode(db, 'frankfurt-1')
  const acceptor = createPinAcceptor(db)
  const pin = await acceptor.accept(alice, newPin('lost'))
  await db.run(`update content set given_up = 'Found nowhere.', given_up_code = 'NOT_FOUND'`)
  await db.run(
    `insert into replica (content_id, node_id, state, attempts, error, due_at) values ($1, $2, 'failed', 9, 'no', 'infinity')`,
    [pin.contentId, node],
  )
  assert.deepEqual((await getPin(db, alice, pin.id))?.problem, { code: 'NOT_FOUND', message: 'Found nowhere.' })
  await acceptor.accept(alice, newPin('lost'))
  assert.equal((await getPin(db, alice, pin.id))?.problem, undefined)
  assert.deepEqual(await db.query('select state, attempts, error, due_at <= now() as due from replica'), [
    { state: 'allocated', attempts: 0, error: null, due: true },
  ])
})

test('callers who accept, replace and delete the same roots at once do not lock each other out', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const acceptors = [createPinAcceptor(db), createPinAcceptor(db)]
  const roots = Array.from({ length: 12 }, (_, index) => `root ${index}`)
  const pick = (seed: number): string => roots[(seed * 7 + Math.floor(seed / 5)) % roots.length] ?? ''
  const caller = async (index: number): Promise<void> => {
    const tenant = index % 2 === 0 ? alice : bob
    const acceptor = acceptors[index % 3 === 0 ? 0 : 1]
    for (let round = 0; round < 12; round++) {
      const seed = index * 31 + round
      const pins = await acceptor?.acceptMany(tenant, [
        newPin(pick(seed)),
        newPin(pick(seed + 3)),
        newPin(pick(seed + 8)),
      ])
      const ids = (pins ?? []).map((pin) => (pin instanceof Error ? assert.fail(pin.message) : pin.id))
      await Promise.all([
        replacePin(db, tenant, ids[0] ?? '', newPin(pick(seed + 5))),
        deletePin(db, tenant, ids[1] ?? ''),
        deletePin(db, tenant, ids[1] ?? ''),
        releaseReplaced(db, 5),
      ])
      if (round % 4 === 0)
        await db.run(
          `with locked as (select tenant_id, id from pin where replaces_content_id is not null and tenant_id = $1
                            order by tenant_id, id for no key update)
           update pin p set status = 'pinned' from locked where p.tenant_id = locked.tenant_id and p.id = locked.id`,
          [tenant],
        )
    }
  }
  await Promise.all(Array.from({ length: 12 }, (_, index) => caller(index)))
  await assertCountsAreExact(db)
  const [deadlocks] = await db.query<{ count: number }>(
    'select deadlocks::int as count from pg_stat_database where datname = current_database()',
  )
  assert.equal(deadlocks?.count, 0)
})

test('what room an account has is known without reading its pins, however many there are', async () => {
  await using it = await withTenants()
  const { db, alice } = it
  await setTenantLimits(db, alice, { maxPins: 2, maxPinBytes: 1_000 })
  await createPinAcceptor(db).accept(alice, newPin('one'))
  await db.transaction(async (sql) => {
    await sql.run('lock table pin, content in access exclusive mode')
    assert.deepEqual(await roomOf(db, alice), { pins: 1, maxPins: 2, maxPinBytes: 1_000 })
  })
})
