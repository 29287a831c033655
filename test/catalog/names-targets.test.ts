import assert from 'node:assert/strict'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { masterKeyOf } from '../../services/catalog/master-key.ts'
import { deleteName } from '../../services/catalog/names.ts'
import { resignNames } from '../../services/catalog/names-resign.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { openWakes } from '../../services/catalog/wake.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { routerTarget, type PutTarget } from '../../services/republisher/put-target.ts'
import { startRepublisher } from '../../services/republisher/republisher.ts'
import { openTestApi } from '../support/api.ts'
import { openRouter, type TestRouter } from '../support/delegated-router.ts'
import { CONTENT, DAY_MS } from '../support/naming.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { hostNames } from '../support/republisher.ts'
import { until } from '../support/until.ts'
import { memoryLog } from '../support/web.ts'

/** Records are told to delegated routers, and what each of them knows stands in rows. */

const MASTERS = [masterKeyOf(Buffer.alloc(32, 3))] as const

interface TargetRow {
  target: string
  name: string
  isTold: boolean
  failures: number
  error: string | null
  isDue: boolean
}

function rowsOf(db: Pick<FreshDatabase, 'query'>): Promise<TargetRow[]> {
  return db.query<TargetRow>(
    `select t.target, t.name, coalesce(t.version = i.version, false) as "isTold", failures, error, next_at <= now() as "isDue"
       from name_target t join ipns_name i on i.name = t.name order by t.target, t.name`,
  )
}

async function recordsIn(db: FreshDatabase): Promise<Map<string, Buffer>> {
  const rows = await db.query<{ name: string; record: Buffer }>('select name, record from ipns_name')
  return new Map(rows.map(({ name, record }) => [name, record]))
}

/** Republishers with these targets, as many as wanted, until disposed. */
async function republish(
  db: FreshDatabase,
  targets: readonly PutTarget[],
  { count = 1, putEveryMs }: { count?: number; putEveryMs?: number } = {},
): Promise<AsyncDisposable & { text: () => string }> {
  const wakes = openWakes(db)
  const stop = new AbortController()
  const { log, text } = memoryLog()
  const options = { db, wakes, masters: undefined, targets, log, everyMs: 10, signal: stop.signal }
  const ended = Promise.all(
    Array.from({ length: count }, () => startRepublisher({ ...options, ...(putEveryMs ? { putEveryMs } : {}) })),
  )
  return {
    text,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await ended
      await wakes[Symbol.asyncDispose]()
    },
  }
}

async function withNames(count: number): Promise<AsyncDisposable & { db: FreshDatabase; names: string[] }> {
  const db = await freshDatabase()
  const tenantId = await ensureTenant(db, 'first')
  const names = await hostNames(db, { masters: MASTERS, tenantId, count })
  return { db, names, [Symbol.asyncDispose]: () => db[Symbol.asyncDispose]() }
}

function told({ puts }: TestRouter): Map<string, Buffer> {
  return new Map(puts.map(({ name, record }) => [name, record]))
}

/** A URL at which nobody listens. */
async function deadUrl(): Promise<string> {
  await using router = await openRouter()
  return router.url
}

test('each router is told the very bytes of every record, once a version, whichever republisher does it', async () => {
  await using some = await withNames(60)
  const { db } = some
  await using one = await openRouter()
  await using two = await openRouter()
  const targets = [routerTarget(one.url), routerTarget(two.url)]
  await using stack = new AsyncDisposableStack()
  stack.use(await republish(db, targets, { count: 2 }))
  const isAllTold = async (): Promise<boolean> => {
    const rows = await rowsOf(db)
    return rows.length === 120 && rows.every(({ isTold, error }) => isTold && error === null)
  }
  await until('every record with both', isAllTold)
  assert.deepEqual(told(one), await recordsIn(db))
  assert.deepEqual(told(two), await recordsIn(db))
  assert.equal(one.puts.length + two.puts.length, 120)
  assert.ok((await rowsOf(db)).every(({ isDue }) => !isDue))

  const [name = ''] = some.names
  const signed = await signAnew(db, name)
  await until('the new record with both', isAllTold)
  for (const router of [one, two]) {
    assert.deepEqual(told(router).get(name), signed)
    assert.equal(router.puts.length, 61)
  }
})

/** A later record of the name, signed by another key: targets do not look at it. */
async function signAnew(db: FreshDatabase, name: string): Promise<Buffer> {
  const next = createIpnsRecord(generateSigningKey(), {
    value: CONTENT,
    sequence: 8n,
    validUntilMs: Date.now() + 3 * DAY_MS,
    ttlMs: 60_000,
  })
  await db.run(`update ipns_name set sign_at = now() - interval '1 second' where name = $1`, [name])
  assert.equal(await resignNames(db, [name], () => ({ ...next, target: CONTENT })), 1)
  return Buffer.from(next.bytes)
}

test('routers that are dead, refuse, redirect, hang or never end fail nothing but themselves', async () => {
  await using some = await withNames(40)
  const { db } = some
  await using good = await openRouter()
  await using elsewhere = await openRouter()
  await using refusing = await openRouter((_, response) => response.writeHead(400).end('{"no":1}'))
  await using redirecting = await openRouter((_, response) => {
    response.writeHead(307, { location: `${elsewhere.url}/routing/v1/ipns/x` }).end()
  })
  await using hanging = await openRouter(() => {})
  await using endless = await openRouter((_, response) => void pipeline(zeros(), response).catch(() => {}))
  const dead = await deadUrl()
  const urls = [good.url, refusing.url, redirecting.url, hanging.url, endless.url, dead]
  await using running = await republish(db, urls.map(routerTarget))
  const of = async (url: string): Promise<TargetRow[]> => (await rowsOf(db)).filter(({ target }) => target === url)
  await until('the good one and the endless one told all', async () => {
    const rows = [...(await of(good.url)), ...(await of(endless.url))]
    return rows.length === 80 && rows.every(({ isTold }) => isTold)
  })
  await until('errors of the others', async () => {
    const rows = [...(await of(refusing.url)), ...(await of(redirecting.url)), ...(await of(dead))]
    return rows.length === 120 && rows.every(({ failures }) => failures > 0)
  })
  assert.deepEqual(new Set((await of(refusing.url)).map(({ error }) => error)), new Set(['The router answered 400.']))
  assert.deepEqual(new Set((await of(dead)).map(({ error }) => error)), new Set(['The router could not be reached.']))
  assert.ok((await of(dead)).every(({ isTold }) => !isTold))
  assert.deepEqual(elsewhere.puts, [])
  assert.equal(hanging.puts.length, 16, 'one that hangs is told one slice and no more')
  assert.ok((await of(hanging.url)).every(({ isTold }) => !isTold))
  for (const url of [refusing.url, dead]) {
    const complaints = running.text().split(url).length - 1
    assert.ok(complaints >= 1)
    assert.equal(running.text().split(`"target":"${url}"`).length - 1, 1, 'a target that fails is complained of once')
  }
})

function* zeros(): Generator<Uint8Array> {
  for (;;) yield Buffer.alloc(65_536)
}

test('a router that comes back is told what it missed', async () => {
  await using some = await withNames(20)
  const { db } = some
  let isUp = false
  await using router = await openRouter((_, response) => response.writeHead(isUp ? 200 : 503).end())
  await using running = await republish(db, [routerTarget(router.url)])
  await until('a failure of each', async () => (await rowsOf(db)).filter(({ failures }) => failures > 0).length === 20)
  isUp = true
  // The pause after a failure, cut short.
  await db.run('update name_target set next_at = now()')
  await until('all of them', async () => (await rowsOf(db)).every(({ isTold }) => isTold))
  assert.ok((await rowsOf(db)).every(({ failures, error }) => failures === 0 && error === null))
  await until('a line that says so', () => running.text().includes('takes records again'))
})

test('the same bytes are put again and again, until the record ends or nobody has the name any more', async () => {
  await using some = await withNames(3)
  const { db, names } = some
  const [ending = '', deleted = '', staying = ''] = names
  await using router = await openRouter()
  await using stack = new AsyncDisposableStack()
  stack.use(await republish(db, [routerTarget(router.url)], { putEveryMs: 20 }))
  const timesOf = (name: string): number => router.puts.filter((put) => put.name === name).length
  await until('three times each', () => names.every((name) => timesOf(name) >= 3))
  const records = await recordsIn(db)
  for (const { name, record } of router.puts) assert.deepEqual(record, records.get(name))

  await db.run(`update ipns_name set valid_until = now() - interval '1 second' where name = $1`, [ending])
  const [row] = await db.query<{ id: string; tenantId: number }>(
    'select id, tenant_id as "tenantId" from name where name = $1',
    [deleted],
  )
  assert.ok(row)
  await deleteName(db, row.tenantId, { id: row.id, name: deleted })
  await until('one row', async () => (await rowsOf(db)).length === 1)
  const before = new Map(names.map((name) => [name, timesOf(name)]))
  await until('two more of the one that stays', () => timesOf(staying) >= (before.get(staying) ?? 0) + 2)
  assert.equal(timesOf(ending), before.get(ending))
  assert.equal(timesOf(deleted), before.get(deleted))

  const renewed = await signAnew(db, ending)
  await until('the name that has a record again', () => told(router).get(ending)?.equals(renewed))
})

test('a target that is named later is told what was published before, and the owner sees it', async () => {
  await using api = await openTestApi()
  const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { value: CONTENT } })
  await using router = await openRouter()
  await using stack = new AsyncDisposableStack()
  stack.use(await republish(api.db, [routerTarget(router.url)]))
  await until('the record', () => told(router).has(name))
  const expected = { target: router.url, current: true, peers: null, problem: null }
  await until('that the owner sees it', async () => {
    const { targets } = await api.json<{ targets: object[] }>('GET', `/v1/names/${name}`)
    return isDeepStrictEqual(targets, [expected])
  })
})

test('what a process that died had begun is done by another after a while', async () => {
  await using some = await withNames(5)
  const { db } = some
  await using hanging = await openRouter(() => {})
  const target = routerTarget(hanging.url)
  {
    await using stack = new AsyncDisposableStack()
    stack.use(await republish(db, [target]))
    await until('five calls', () => hanging.puts.length === 5)
  }
  assert.ok(
    (await rowsOf(db)).every(({ isTold, isDue }) => !isTold && !isDue),
    'nobody else does it meanwhile',
  )
  await db.run(`update name_target set next_at = next_at - interval '3 minutes'`)
  const taken: string[] = []
  const working: PutTarget = { id: target.id, put: ({ text }) => Promise.resolve(taken.push(text)) }
  await using stack = new AsyncDisposableStack()
  stack.use(await republish(db, [working]))
  await until('all of them', async () => (await rowsOf(db)).every(({ isTold }) => isTold))
  assert.equal(taken.length, 5)
})
