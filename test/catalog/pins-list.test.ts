import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { listPins, MOST_COUNTED, type PinQuery } from '../../services/catalog/pins-list.ts'
import type { NewPin, PinRow } from '../../services/catalog/pins.ts'
import type { Sql } from '../../services/catalog/database.ts'
import { DAG_PB } from '../../services/core/cid.ts'
import { PIN_STATUSES, type PinStatus } from '../../services/core/pin.ts'
import { cidOf, newPin, withTenants } from '../support/pins.ts'

const ALL = { statuses: PIN_STATUSES, limit: 1_000 }

async function add(
  db: Sql & Parameters<typeof createPinAcceptor>[0],
  tenant: number,
  pins: NewPin[],
): Promise<PinRow[]> {
  const answers = await createPinAcceptor(db).acceptMany(tenant, pins)
  return answers.map((pin) => (pin instanceof Error ? assert.fail(pin.message) : pin))
}

/** Puts pins at moments given as the fraction of a second after the first of January. */
async function place(db: Sql, pins: readonly PinRow[], microseconds: readonly number[]): Promise<void> {
  for (const [index, us] of microseconds.entries()) {
    await db.run(
      `update pin set created_at = timestamptz '2026-01-01Z' + $2 * interval '1 microsecond' where id = $1`,
      [pins[index]?.id, us],
    )
  }
}

const NAMES = [
  '',
  'a',
  'A',
  'aB',
  'Ab%',
  'a_b',
  'a\\b',
  '100%',
  'ΟΔΟΣ',
  'οδοσα',
  'İstanbul',
  'naïve',
  'NAÏVE',
  '照片',
  'cat photo',
]
const ROOTS = ['r0', 'r1', 'r2', 'r3']

interface Modelled extends PinRow {
  root: string
}

/** The filters of the specification, said as simply as possible. */
function expected(pins: readonly Modelled[], query: PinQuery, roots: readonly string[] | undefined): string[] {
  const fold = (text: string): string => text.replaceAll(/./gsu, (character) => character.toLowerCase())
  const [match, asked] = [query.match ?? 'exact', query.name]
  const matchesName = (name: string | undefined): boolean => {
    if (asked === undefined || name === undefined) return asked === undefined
    const [text, part] = match.startsWith('i') ? [fold(name), fold(asked)] : [name, asked]
    return match.endsWith('partial') ? text.includes(part) : text === part
  }
  return pins
    .filter((pin) => roots === undefined || roots.includes(pin.root))
    .filter((pin) => matchesName(pin.name))
    .filter((pin) => query.statuses.includes(pin.status))
    .filter((pin) => query.before === undefined || pin.createdAt < query.before)
    .filter((pin) => query.after === undefined || pin.createdAt > query.after)
    .filter((pin) => Object.entries(query.meta ?? {}).every(([key, value]) => pin.meta[key] === value))
    .toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
    .map(({ id }) => id)
}

test('filters select what the specification says, in any combination', async () => {
  await using setup = await withTenants()
  const { db, alice, bob } = setup
  const wanted = Array.from({ length: 48 }, (_, index) => {
    const name = index % 11 === 0 ? undefined : NAMES[(index * 5) % NAMES.length]
    const meta: Record<string, string> =
      index % 3 === 0 ? {} : { app: `app ${index % 2}`, ...(index % 4 === 0 ? { 'x"y': '1' } : {}) }
    return { root: ROOTS[index % ROOTS.length] ?? '', name, meta }
  })
  const rows = await add(
    db,
    alice,
    wanted.map(({ root, name, meta }) => newPin(root, { name, meta })),
  )
  await add(
    db,
    bob,
    wanted.map(({ root, name, meta }) => newPin(root, { name, meta })),
  )
  await db.run(
    `update pin set status = (array['queued', 'pinning', 'pinned', 'failed'])[1 + abs(hashtext(id::text)) % 4]`,
  )
  const statuses = new Map(
    (await db.query<{ id: string; status: PinStatus }>('select id, status from pin')).map(({ id, status }) => [
      id,
      status,
    ]),
  )
  const pins = rows.map((row, index): Modelled => ({
    ...row,
    root: wanted[index]?.root ?? '',
    status: statuses.get(row.id) ?? 'queued',
  }))

  const moment = fc.constantFrom(...pins.map(({ createdAt }) => createdAt))
  const query = fc.record(
    {
      roots: fc.subarray([...ROOTS, 'unknown'], { minLength: 1 }),
      name: fc.constantFrom(...NAMES, 'b', '%', '_', '\\', 'photo', 'σ', 'ΟΔΟ', 'i', 'x'),
      match: fc.constantFrom('exact', 'iexact', 'partial', 'ipartial'),
      statuses: fc.subarray([...PIN_STATUSES], { minLength: 1 }),
      before: moment,
      after: moment,
      meta: fc.constantFrom<Record<string, string>>({}, { app: 'app 1' }, { app: 'app 0', 'x"y': '1' }, { app: 'app' }),
    },
    { requiredKeys: ['statuses'] },
  )
  await fc.assert(
    fc.asyncProperty(query, async ({ roots, ...filters }) => {
      const asked = { ...filters, cids: roots?.map((root) => cidOf(root)), limit: 1_000 }
      const { pins: found, count, exact } = await listPins(db, alice, asked)
      const ids = expected(pins, asked, roots)
      assert.deepEqual(
        found.map(({ id }) => id),
        ids,
      )
      assert.deepEqual({ count, exact }, { count: ids.length, exact: true })
    }),
    { numRuns: 250 },
  )
})

test('a root is found by its CIDv0 as by its CIDv1, but not by another codec', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const v1 = cidOf('page', DAG_PB)
  const v0 = CID.createV0(v1.multihash as Parameters<typeof CID.createV0>[0])
  await add(db, alice, [{ cid: v0, cidText: v0.toString() }])
  const find = async (cid: CID) => (await listPins(db, alice, { ...ALL, cids: [cid] })).pins.map((pin) => pin.cid)
  assert.deepEqual(await find(v1), [v0.toString()])
  assert.deepEqual(await find(v0), [v0.toString()])
  assert.deepEqual(await find(cidOf('page')), [])
})

test('pages follow each other by `before` without loss or repetition, also when it is cut to milliseconds', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const pins = await add(
    db,
    alice,
    Array.from({ length: 24 }, (_, index) => newPin(`item ${index}`)),
  )
  // Groups of one, of three, and of nine pins in a millisecond.
  const places = [0, 1_000, 2_000, 2_001, 2_999, 3_500, 4_000, 4_001, 4_002, 4_003, 4_004, 4_005, 4_006, 4_007, 4_998]
  await place(db, pins, [...places, ...Array.from({ length: 9 }, (_, index) => 5_000 + index * 1_000)])
  for (const limit of [1, 2, 3, 4, 5, 9, 10, 23, 24, 25]) {
    const seen: string[] = []
    let before: string | undefined
    for (;;) {
      const page = await listPins(db, alice, { statuses: PIN_STATUSES, limit, before })
      if (page.pins.length === 0) break
      seen.push(...page.pins.map(({ id }) => id))
      assert.equal(page.count > page.pins.length, seen.length < 24)
      before = new Date(page.pins.at(-1)?.createdAt ?? '').toISOString()
    }
    assert.equal(seen.length, 24, `limit ${limit}`)
    assert.equal(new Set(seen).size, 24)
  }
})

test('a page ends before a millisecond that does not fit, and has all of one that never would', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const pins = await add(
    db,
    alice,
    Array.from({ length: 6 }, (_, index) => newPin(`item ${index}`)),
  )
  await place(db, pins, [9_000, 5_003, 5_002, 5_001, 5_000, 1_000])
  const page = async (limit: number, before?: string) =>
    (await listPins(db, alice, { statuses: PIN_STATUSES, limit, before })).pins.map(({ id }) => id)
  const ids = pins.map(({ id }) => id)
  assert.deepEqual(await page(3), ids.slice(0, 1))
  assert.deepEqual(await page(3, '2026-01-01T00:00:00.009Z'), ids.slice(1, 5))
  assert.deepEqual(await page(5), ids.slice(0, 5))
  assert.deepEqual(await page(10), ids)
})

test('counts are exact up to ten thousand, and for a list without filters always', async () => {
  await using setup = await withTenants()
  const { db, alice } = setup
  const pins = Array.from({ length: MOST_COUNTED + 1 }, (_, index) => newPin(`root ${index % 7}`, { name: 'same' }))
  await add(db, alice, pins)
  const count = async (query: Partial<PinQuery>) => {
    const page = await listPins(db, alice, { ...ALL, limit: 10, ...query })
    return { count: page.count, exact: page.exact }
  }
  assert.deepEqual(await count({}), { count: MOST_COUNTED + 1, exact: true })
  assert.deepEqual(await count({ name: 'same' }), { count: MOST_COUNTED, exact: false })
  await db.run(`update pin set status = 'pinned' where id in (select id from pin limit 1)`)
  assert.deepEqual(await count({ name: 'same', statuses: ['queued', 'failed'] }), {
    count: MOST_COUNTED,
    exact: true,
  })
})
