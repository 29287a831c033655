import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openWakes, type Wakes } from '../../services/catalog/wake.ts'
import { eventually } from '../support/eventually.ts'
import { freshDatabase } from '../support/postgres.ts'

/** What is heard on a channel from when the other side is known to listen. */
async function connected(from: Wakes, to: Wakes): Promise<void> {
  let listens = false
  const stop = to.on('hello', (key) => {
    listens ||= key === 'hello'
  })
  await eventually('the listener is there', () => {
    if (!listens) from.announce('hello', 'hello')
    return listens
  })
  stop()
}

test('within a process a hint arrives at once', async () => {
  await using db = await freshDatabase()
  await using wakes = openWakes(db)
  const heard: (string | undefined)[] = []
  const stop = wakes.on('reconcile', (key) => heard.push(key))
  wakes.announce('reconcile', '7')
  wakes.announce('other', '8')
  assert.deepEqual(heard, ['7'])
  stop()
  wakes.announce('reconcile', '9')
  assert.deepEqual(heard, ['7'])
})

test('another process hears each key once, and not its own again', async () => {
  await using db = await freshDatabase()
  await using here = openWakes(db)
  await using there = openWakes(db)
  await connected(here, there)
  await connected(there, here)
  const heardHere: (string | undefined)[] = []
  const heardThere: (string | undefined)[] = []
  here.on('node', (key) => heardHere.push(key))
  there.on('node', (key) => heardThere.push(key))
  for (const key of ['1', '2', '1', '3']) here.announce('node', key)
  await eventually('all keys', () => heardThere.length >= 3)
  assert.deepEqual(heardThere.map(String).sort(), ['1', '2', '3'])
  assert.deepEqual(heardHere, ['1', '2', '1', '3'])
})

test('a crowd of keys becomes one hint for all of the channel', async () => {
  await using db = await freshDatabase()
  await using here = openWakes(db)
  await using there = openWakes(db)
  await connected(here, there)
  const heard: (string | undefined)[] = []
  there.on('node', (key) => heard.push(key))
  for (let key = 0; key < 1_000; key++) here.announce('node', String(key))
  await eventually('the hint', () => heard.length > 0)
  assert.deepEqual(heard, [undefined])
})

test('after a broken session it listens again and says that hints may have been lost', async () => {
  await using db = await freshDatabase()
  await using here = openWakes(db)
  await using there = openWakes(db)
  await connected(here, there)
  const heard: (string | undefined)[] = []
  there.on('node', (key) => heard.push(key))
  await db.run(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and query like 'listen %'`,
  )
  await eventually('the word of a gap', () => heard.includes(undefined))
  await connected(here, there)
})
