import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../services/catalog/database.ts'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { deletePin } from '../../services/catalog/pins-remove.ts'
import { replacePin } from '../../services/catalog/pins-replace.ts'
import { getPin } from '../../services/catalog/pins.ts'
import { movePinsToPolicies } from '../../services/catalog/policies-move.ts'
import {
  deletePolicy,
  ensureDefaultPolicy,
  getPolicy,
  listPolicies,
  putPolicy,
} from '../../services/catalog/policies.ts'
import { DEFAULT_POLICY, type Policy } from '../../services/core/policy.ts'
import { assertCountsAreExact } from '../support/catalog-invariants.ts'
import { newPin, withTenants } from '../support/pins.ts'

const policyOf = (copies: number): Policy => ({ copies: { min: copies, target: copies }, rules: [] })

async function moveAll(db: Database, limit = 1_000): Promise<void> {
  while (await movePinsToPolicies(db, limit));
}

const policyIdsInUse = async (db: Database): Promise<number[]> =>
  (await db.query<{ id: number }>('select distinct policy_id as id from pin order by id')).map(({ id }) => id)

test('everybody has the default policy of the system, once, whoever starts first', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  await Promise.all([ensureDefaultPolicy(db), ensureDefaultPolicy(db)])
  const [only, ...others] = await listPolicies(db, alice)
  assert.deepEqual(others, [])
  assert.deepEqual(
    { name: only?.name, owner: only?.owner, version: only?.version, policy: only?.policy },
    { name: 'default', owner: 'system', version: 1, policy: DEFAULT_POLICY },
  )
})

test('a tenant sees its own policies and those of the system, and its own of a name comes first', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  assert.equal((await putPolicy(db, alice, 'archive', policyOf(5))).created, true)
  assert.equal((await putPolicy(db, alice, 'default', policyOf(1))).created, true)
  const names = async (tenant: number) => (await listPolicies(db, tenant)).map(({ name, owner }) => `${owner} ${name}`)
  assert.deepEqual(await names(alice), ['tenant archive', 'tenant default'])
  assert.deepEqual(await names(bob), ['system default'])
  assert.equal(await getPolicy(db, bob, 'archive'), undefined)
  assert.equal((await getPolicy(db, alice, 'default'))?.policy.copies.min, 1)
})

test('saving again adds a version, saving the same changes nothing', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  await putPolicy(db, alice, 'archive', policyOf(2))
  const again = await putPolicy(db, alice, 'archive', policyOf(2))
  assert.deepEqual({ created: again.created, version: again.saved.version }, { created: false, version: 1 })
  const changed = await putPolicy(db, alice, 'archive', policyOf(3))
  assert.deepEqual({ created: changed.created, version: changed.saved.version }, { created: false, version: 2 })
})

test('pins follow a policy that was saved again, slice by slice, and are queued for placement', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const acceptor = createPinAcceptor(db)
  await putPolicy(db, alice, 'archive', policyOf(2))
  await moveAll(db)
  const pins = Array.from({ length: 25 }, (_, index) => newPin(`root ${index % 10}`, { policy: 'archive' }))
  await acceptor.acceptMany(alice, pins)
  const other = await acceptor.accept(bob, newPin('root 1'))
  const replaced = await acceptor.accept(alice, newPin('replaced', { policy: 'archive' }))
  await replacePin(db, alice, replaced.id, newPin('new', { policy: 'archive' }))
  await db.run('delete from reconcile_queue')

  const { saved } = await putPolicy(db, alice, 'archive', policyOf(3))
  await moveAll(db, 7)
  assert.deepEqual(await policyIdsInUse(db), [(await getPolicy(db, bob, 'default'))?.id, saved.id])
  await assertCountsAreExact(db)
  assert.equal((await getPin(db, bob, other.id))?.policy, 'default')
  const [queue] = await db.query('select count(distinct content_id)::int as roots from reconcile_queue')
  assert.deepEqual(queue, { roots: 12 })
  assert.equal(await movePinsToPolicies(db, 7), false)
})

test("a tenant's own default policy takes over its pins from the system's, and nobody else's", async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const acceptor = createPinAcceptor(db)
  await acceptor.acceptMany(alice, [newPin('a'), newPin('b')])
  await acceptor.accept(bob, newPin('a'))
  const { saved } = await putPolicy(db, alice, 'default', policyOf(1))
  await moveAll(db)
  const rows = await db.query(
    'select tenant_id = $1 as own, policy_id = $2 as follows from pin order by 1, content_id',
    [alice, saved.id],
  )
  assert.deepEqual(rows, [
    { own: false, follows: false },
    { own: true, follows: true },
    { own: true, follows: true },
  ])
  await assertCountsAreExact(db)
})

test("a new default of the system moves everybody's pins, except where a tenant has its own", async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const acceptor = createPinAcceptor(db)
  await putPolicy(db, alice, 'default', policyOf(1))
  await acceptor.acceptMany(alice, [newPin('a'), newPin('b')])
  await acceptor.acceptMany(bob, [newPin('a'), newPin('c')])
  await db.run(`update policy set spec = '{"copies":{"min":1,"target":1},"rules":[]}' where tenant_id is null`)
  await ensureDefaultPolicy(db)
  await moveAll(db, 1)
  const current = await getPolicy(db, bob, 'default')
  assert.equal(current?.version, 2)
  const rows = await db.query('select tenant_id as tenant, policy_id = $1 as follows from pin order by 1', [
    current?.id,
  ])
  assert.deepEqual(rows, [
    { tenant: alice, follows: false },
    { tenant: alice, follows: false },
    { tenant: bob, follows: true },
    { tenant: bob, follows: true },
  ])
  await assertCountsAreExact(db)
})

test('pins accepted while a policy is saved again and again all end with its last version', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const acceptor = createPinAcceptor(db)
  await putPolicy(db, alice, 'archive', policyOf(1))
  const saving = (async () => {
    for (let copies = 2; copies < 12; copies++) await putPolicy(db, alice, 'archive', policyOf(copies))
  })()
  const movers = [moveAll(db, 3), moveAll(db, 5)]
  const accepting = Array.from({ length: 40 }, async (_, index) => {
    const pin = await acceptor.accept(alice, newPin(`root ${index % 9}`, { policy: 'archive' }))
    if (index % 3 === 0) await deletePin(db, alice, pin.id)
  })
  await Promise.all([saving, ...movers, ...accepting])
  await moveAll(db, 4)
  assert.deepEqual(await policyIdsInUse(db), [(await getPolicy(db, alice, 'archive'))?.id])
  await assertCountsAreExact(db)
})

test('a policy is deleted only when no pin uses it', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  await putPolicy(db, alice, 'archive', policyOf(2))
  const pin = await createPinAcceptor(db).accept(alice, newPin('a', { policy: 'archive' }))
  await putPolicy(db, alice, 'archive', policyOf(3))
  assert.equal(await deletePolicy(db, bob, 'archive'), false)
  await assert.rejects(deletePolicy(db, alice, 'archive'), { code: 'CONFLICT' })
  await deletePin(db, alice, pin.id)
  assert.equal(await deletePolicy(db, alice, 'archive'), true)
  assert.equal(await deletePolicy(db, alice, 'archive'), false)
  assert.equal(await deletePolicy(db, alice, 'default'), false, 'the one of the system is not theirs to delete')
  await assert.rejects(createPinAcceptor(db).accept(alice, newPin('a', { policy: 'archive' })), { code: 'BAD_REQUEST' })
})
