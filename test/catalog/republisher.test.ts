import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { masterKeyOf } from '../../services/catalog/master-key.ts'
import { readNamePage } from '../../services/catalog/names-feed.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { openWakes } from '../../services/catalog/wake.ts'
import { FEED_BEGIN, type FeedPlace } from '../../services/core/name-feed.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { parseIpnsName } from '../../services/naming/ipns-name.ts'
import { validateIpnsRecord, validUntilMs } from '../../services/naming/ipns-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { startRepublisher } from '../../services/republisher/republisher.ts'
import { signAnew } from '../../services/republisher/sign-anew.ts'
import { openTestApi } from '../support/api.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { end, hostNames, spawnRepublisher } from '../support/republisher.ts'
import { CONTENT } from '../support/naming.ts'
import { until } from '../support/until.ts'
import { memoryLog } from '../support/web.ts'

const KEY = Buffer.alloc(32, 3)
const MASTERS = [masterKeyOf(KEY)] as const
const HOUR_MS = 3_600_000

/** Lets the time of signing come for every name. */
async function becomeDue(db: FreshDatabase): Promise<void> {
  await db.run(`update ipns_name set sign_at = now() - interval '1 second' where sign_at is not null`)
}

async function waiting(db: FreshDatabase): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    'select count(*)::integer as count from ipns_name where sign_at <= now()',
  )
  return row?.count ?? 0
}

/** The whole feed, page by page. */
async function feed(
  db: FreshDatabase,
  from: FeedPlace = FEED_BEGIN,
): Promise<{ at: FeedPlace; names: Map<string, Buffer> }> {
  const names = new Map<string, Buffer>()
  for (let at = from; ;) {
    const page = await readNamePage(db, at)
    if (page.names.length === 0) return { at: page.at, names }
    for (const { name, record } of page.names) names.set(name, Buffer.from(record, 'base64'))
    at = page.at
  }
}

test('two republishers, one of them killed on the way, sign every name anew: same sequence, later end', async () => {
  await using db = await freshDatabase()
  const tenantId = await ensureTenant(db, 'first')
  const names = await hostNames(db, { masters: MASTERS, tenantId, count: 500 })
  const before = await feed(db)
  assert.equal(before.names.size, 500)
  await becomeDue(db)
  const [first, second] = await Promise.all([spawnRepublisher(db.url, KEY), spawnRepublisher(db.url, KEY)])
  try {
    await until('some that are signed', async () => (await waiting(db)) < 500)
    await end(first, 'SIGKILL')
    await until('all that are signed', async () => (await waiting(db)) === 0)
  } finally {
    await Promise.all([end(first, 'SIGKILL'), end(second, 'SIGTERM')])
  }
  const after = await feed(db, before.at)
  assert.deepEqual([...after.names.keys()].sort(), names.toSorted(), 'every node is told of each')
  for (const [text, bytes] of after.names) {
    const name = parseIpnsName(text)
    const [old, renewed] = [before.names.get(text) ?? bytes, bytes].map((one) =>
      validateIpnsRecord(name, one, Date.now()),
    )
    assert.ok(old && renewed)
    assert.deepEqual([renewed.sequence, Buffer.from(renewed.value).toString()], [7n, CONTENT])
    assert.ok(renewed.validUntilNs > old.validUntilNs)
  }
})

test('a record whose end has come while nobody signed is signed anew all the same', async () => {
  await using db = await freshDatabase()
  await using wakes = openWakes(db)
  const tenantId = await ensureTenant(db, 'first')
  const [name = ''] = await hostNames(db, { masters: MASTERS, tenantId, count: 1 })
  await db.run(`update ipns_name set valid_until = now() - interval '1 day', sign_at = now() - interval '2 days'`)
  assert.equal((await feed(db)).names.size, 0, 'what has ended is told to nobody')
  const stop = new AbortController()
  const { log } = memoryLog()
  const ended = startRepublisher({ db, wakes, masters: MASTERS, log, everyMs: 20, signal: stop.signal })
  await until('a record in the feed', async () => (await feed(db)).names.has(name))
  stop.abort()
  await ended
})

test('names whose keys cannot be opened hold up no others, and are tried again later', async () => {
  await using db = await freshDatabase()
  await using wakes = openWakes(db)
  const lost = await ensureTenant(db, 'first')
  const other = await ensureTenant(db, 'second')
  await hostNames(db, { masters: [masterKeyOf(Buffer.alloc(32, 99))], tenantId: lost, count: 3 })
  await hostNames(db, { masters: MASTERS, tenantId: other, count: 3 })
  await becomeDue(db)
  const { at } = await feed(db)
  const stop = new AbortController()
  const { log, lines } = memoryLog()
  const ended = startRepublisher({ db, wakes, masters: MASTERS, log, everyMs: 20, signal: stop.signal })
  await until('nothing that waits', async () => (await waiting(db)) === 0)
  stop.abort()
  await ended
  assert.equal((await feed(db, at)).names.size, 3)
  assert.ok(JSON.stringify(lines).includes('could not be signed anew'))
})

test('the owner of a record that ends is told once, and sees it before', async () => {
  const { log, lines } = memoryLog()
  await using api = await openTestApi()
  const key = generateSigningKey()
  const body = (ms: number): object => ({
    mode: 'watched',
    name: key.name.text,
    record: Buffer.from(
      createIpnsRecord(key, { value: CONTENT, sequence: 1n, validUntilMs: Date.now() + ms, ttlMs: 1_000 }).bytes,
    ).toString('base64'),
  })
  await api.json('POST', '/v1/names', { body: body(48 * HOUR_MS) })
  const state = async (): Promise<string> =>
    (await api.json<{ state: string }>('GET', `/v1/names/${key.name.text}`)).state
  assert.equal(await state(), 'live')
  // Most of its time has passed.
  await api.db.run(`update ipns_name set received_at = now() - interval '10 days'`)
  assert.equal(await state(), 'ending')
  const stop = new AbortController()
  const options = { db: api.db, wakes: api.wakes, masters: undefined, log, everyMs: 20, signal: stop.signal }
  const ended = Promise.all([startRepublisher(options), startRepublisher(options)])
  const warnings = (): unknown[] => lines.filter((line) => JSON.stringify(line).includes(key.name.text))
  await until('a warning', () => warnings().length > 0)
  await until('that it was noted', async () => {
    const [row] = await api.db.query<{ isWarned: boolean }>('select warned_at is not null as "isWarned" from ipns_name')
    return row?.isWarned
  })
  stop.abort()
  await ended
  assert.equal(warnings().length, 1)
  await api.db.run(`update ipns_name set valid_until = now() - interval '1 second'`)
  assert.equal(await state(), 'ended')
})

/** A node in the directory whose gateway is a server of this process. */
async function nodeWithGateway(db: FreshDatabase, answer: RequestListener): Promise<AsyncDisposable> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await db.run(`insert into node (name, public_key, labels, transfer, gateway) values ($1, $2, '{}', 'x:1', $3)`, [
    `node-${port}`,
    Buffer.from(String(port)),
    `http://127.0.0.1:${port}`,
  ])
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

test('a watched name follows what its owner publishes to any node; lies and endless answers change nothing', async () => {
  await using api = await openTestApi()
  const key = generateSigningKey()
  const recordAt = (sequence: bigint, signer = key): Uint8Array =>
    createIpnsRecord(signer, { value: CONTENT, sequence, validUntilMs: Date.now() + HOUR_MS, ttlMs: 1_000 }).bytes
  let given: Uint8Array | 'endless' | undefined
  let asked = 0
  await using stack = new AsyncDisposableStack()
  stack.use(
    await nodeWithGateway(api.db, (_request, response) => {
      asked += 1
      if (given === 'endless') {
        pipeline(endless(), response).catch(() => {})
        return
      }
      response.writeHead(given === undefined ? 404 : 200)
      response.end(given)
    }),
  )
  await api.json('POST', '/v1/names', { body: { mode: 'watched', name: key.name.text, label: 'theirs' } })
  const stop = new AbortController()
  const { log } = memoryLog()
  const options = { db: api.db, wakes: api.wakes, masters: undefined, log, everyMs: 5, seekMs: 5, signal: stop.signal }
  const ended = startRepublisher(options)
  const sequence = async (): Promise<string> =>
    (await api.json<{ sequence: string }>('GET', '/v1/names/theirs')).sequence
  const askedTwiceMore = async (): Promise<void> => {
    const before = asked
    await until('two more questions', () => asked >= before + 2)
  }
  try {
    await askedTwiceMore()
    given = recordAt(5n)
    await until('the first record', async () => (await sequence()) === '5')
    for (const lie of [
      recordAt(4n),
      recordAt(9n, generateSigningKey()),
      Buffer.from('no record'),
      'endless',
    ] as const) {
      given = lie
      await askedTwiceMore()
    }
    assert.equal(await sequence(), '5')
    given = recordAt(6n)
    await until('the next record', async () => (await sequence()) === '6')
  } finally {
    stop.abort()
    await ended
  }
})

function* endless(): Generator<Uint8Array> {
  for (;;) yield Buffer.alloc(65_536)
}

test('an imported key goes on after the records that are found of it; nobody is asked for a key that was made here', async () => {
  await using api = await openTestApi()
  const key = generateSigningKey()
  const names: string[] = []
  const record = createIpnsRecord(key, { value: CONTENT, sequence: 30n, validUntilMs: Date.now() + HOUR_MS, ttlMs: 1 })
  await using stack = new AsyncDisposableStack()
  stack.use(
    await nodeWithGateway(api.db, (request, response) => {
      names.push(request.url ?? '')
      response.end(record.bytes)
    }),
  )
  await api.json('POST', '/v1/names', { body: { label: 'made' } })
  await api.json('POST', '/v1/names', {
    body: { key: Buffer.from(key.exportSecret()).toString('base64'), label: 'imported' },
  })
  const stop = new AbortController()
  const { log } = memoryLog()
  const options = { db: api.db, wakes: api.wakes, masters: undefined, log, everyMs: 5, seekMs: 5, signal: stop.signal }
  const ended = startRepublisher(options)
  await until('the known sequence', async () => {
    return (await api.json<{ sequence: string }>('GET', '/v1/names/imported')).sequence === '30'
  })
  stop.abort()
  await ended
  assert.deepEqual(names, [`/routing/v1/ipns/${key.name.text}`])
  const body = { value: CONTENT }
  assert.equal((await api.json<{ sequence: string }>('PUT', '/v1/names/imported', { body })).sequence, '31')
})

test('signing anew never shortens a record', () => {
  const key = generateSigningKey()
  const nowMs = Date.UTC(2030, 0, 1)
  const far = nowMs + 300 * 24 * HOUR_MS
  const record = createIpnsRecord(key, { value: CONTENT, sequence: 4n, validUntilMs: far, ttlMs: 5_000 })
  const renewed = signAnew(key, { record: { ...record, target: CONTENT }, nowMs }, 48 * HOUR_MS)
  const read = validateIpnsRecord(key.name, renewed.bytes, nowMs)
  assert.ok(validUntilMs(read) > far)
  assert.deepEqual([read.sequence, read.ttlNs], [4n, record.ttlNs])
})
