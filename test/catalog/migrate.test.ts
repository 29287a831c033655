import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDatabase } from '../../services/catalog/database.ts'
import { migrate } from '../../services/catalog/migrate.ts'
import { freshDatabase } from '../support/postgres.ts'

test('of several processes that start at once one applies the migrations and the others wait for it', async () => {
  await using db = await freshDatabase()
  await db.run('drop schema public cascade')
  await db.run('create schema public')
  const starts = Array.from({ length: 4 }, async () => {
    await using process = openDatabase(db.url, { connections: 1 })
    const applied = await migrate(process)
    const [row] = await process.query<{ pins: number }>('select count(*)::int as pins from pin')
    return { applied, pins: row?.pins }
  })
  const outcomes = await Promise.all(starts)
  const applied = outcomes.map((outcome) => outcome.applied).filter((names) => names.length > 0)
  assert.equal(applied.length, 1)
  assert.equal(applied[0]?.[0], '0001_accounts')
  assert.deepEqual(
    outcomes.map(({ pins }) => pins),
    [0, 0, 0, 0],
  )
})

test('a second start finds nothing to do', async () => {
  await using db = await freshDatabase()
  assert.deepEqual(await migrate(db), [])
})
