import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatabase } from '../../services/catalog/database.ts'
import { hasCode } from '../../services/core/errors.ts'
import { freshDatabase } from '../support/postgres.ts'

test('moments keep their microseconds, ids their digits, and both are texts', async () => {
  await using db = await freshDatabase()
  const [row] = await db.query(
    `select timestamptz '2026-01-02 03:04:05.6789+01' as at, timestamptz '2026-01-02Z' as midnight,
            timestamptz '-infinity' as never, 9007199254740993::bigint as id, 7::int as count, '{"a":1}'::jsonb as meta`,
  )
  assert.deepEqual(row, {
    at: '2026-01-02T02:04:05.678900Z',
    midnight: '2026-01-02T00:00:00.000000Z',
    never: '-infinity',
    id: '9007199254740993',
    count: 7,
    meta: { a: 1 },
  })
})

test('options of the connection string stay in force beside ours', async () => {
  await using db = await freshDatabase()
  await using other = openDatabase(`${db.url}?options=-c%20work_mem%3D5MB`, { statementTimeoutMs: 1_234 })
  const [row] = await other.query(
    `select current_setting('work_mem') as work, current_setting('statement_timeout') as timeout`,
  )
  assert.deepEqual(row, { work: '5MB', timeout: '1234ms' })
})

test('a transaction that throws leaves nothing behind', async () => {
  await using db = await freshDatabase()
  await assert.rejects(
    db.transaction(async (sql) => {
      await sql.run(`insert into tenant (name) values ('alice')`)
      throw new Error('second thoughts')
    }),
    /second thoughts/,
  )
  assert.deepEqual(await db.query('select from tenant'), [])
})

test('of statements that were sent at once the one that failed is told, whichever is heard of first', async () => {
  await using db = await freshDatabase()
  const transaction = db.transaction(async (sql) => {
    const failing = async (): Promise<void> => {
      try {
        await sql.run('select 1 / 0')
      } finally {
        await delay(5)
      }
    }
    await Promise.all([failing(), sql.run('select 1')])
  })
  await assert.rejects(transaction, { code: '22012' })
})

test('what goes on beside a statement that failed writes nothing outside of the transaction', async () => {
  await using db = await freshDatabase({ connections: 1 })
  const late = Promise.withResolvers<unknown>()
  const transaction = db.transaction(async (sql) => {
    const other = async (): Promise<void> => {
      await delay(20)
      await sql.run(`insert into tenant (name) values ('late')`)
    }
    const writing = other()
    writing.then(late.resolve, late.reject)
    await Promise.all([sql.run('select 1 / 0'), writing])
  })
  await assert.rejects(transaction, { code: '22012' })
  await assert.rejects(late.promise)
  assert.deepEqual(await db.query('select from tenant'), [])
})

test('transactions that lock each other out are repeated until both are done', async () => {
  await using db = await freshDatabase()
  await db.run(`insert into tenant (name) values ('a'), ('b')`)
  const both = Promise.withResolvers<void>()
  let inside = 0
  const rename = (first: string, second: string) =>
    db.transaction(async (sql) => {
      await sql.run(`update tenant set created_at = created_at + interval '1 second' where name = $1`, [first])
      if (++inside === 2) both.resolve()
      await both.promise
      await sql.run(`update tenant set created_at = created_at + interval '1 second' where name = $1`, [second])
    })
  await Promise.all([rename('a', 'b'), rename('b', 'a')])
  assert.ok(inside > 2, 'one of them had to be repeated')
})

const isUnavailable = (error: unknown): boolean => hasCode(error, 'UNAVAILABLE') && (error.retryAfterSeconds ?? 0) > 0

test('a server that is not there is UNAVAILABLE, with a time to come back', async () => {
  await using server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await server[Symbol.asyncDispose]()
  await using db = openDatabase(`postgres://nobody@127.0.0.1:${port}/nothing`)
  await assert.rejects(db.query('select 1'), isUnavailable)
  await assert.rejects(
    db.transaction((sql) => sql.query('select 1')),
    isUnavailable,
  )
})

test('a session that is cut is UNAVAILABLE, and the next statement has a new one', async () => {
  await using db = await freshDatabase({ connections: 1 })
  await assert.rejects(db.query('select pg_terminate_backend(pg_backend_pid())'), isUnavailable)
  await assert.rejects(
    db.transaction((sql) => sql.query('select pg_terminate_backend(pg_backend_pid())')),
    isUnavailable,
  )
  assert.deepEqual(await db.query('select 1 as one'), [{ one: 1 }])
})

test('a statement that runs too long is UNAVAILABLE', async () => {
  await using db = await freshDatabase({ statementTimeoutMs: 50 })
  await assert.rejects(db.query('select pg_sleep(60)'), isUnavailable)
})

test('a mistake in a statement is no matter of availability', async () => {
  await using db = await freshDatabase()
  await assert.rejects(db.query('select nonsense'), { code: '42703' })
})
