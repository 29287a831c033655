import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createApi } from '../../services/api/api.ts'
import { createAuthenticator } from '../../services/catalog/authenticator.ts'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { settlePins } from '../../services/catalog/reconcile-statuses.ts'
import type { Decision } from '../../services/catalog/reconcile-write.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { startFollower } from '../../services/republisher/follower.ts'
import { startRepublisher } from '../../services/republisher/republisher.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { Stream } from '../support/event-stream.ts'
import { CONTENT } from '../support/naming.ts'
import { raise, runNotifier } from '../support/notifier.ts'
import { cidOf } from '../support/pins.ts'
import { until } from '../support/until.ts'
import { failure, memoryLog, serve } from '../support/web.ts'

const HOUR_MS = 3_600_000

async function open(api: TestApi, { query = '', last }: { query?: string; last?: string | undefined } = {}) {
  return new Stream(await api.send('GET', `/v1/events${query}`, { headers: last ? { 'Last-Event-ID': last } : {} }))
}

test('a stream tells what happens from now on, in its order, and goes on after the last id', async () => {
  await using api = await openTestApi()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  await raise(api, 'before')
  await until('that it is placed', async () => (await api.db.query('select from event where place is not null')).length)
  await using stream = await open(api)
  await raise(api, 'one')
  await raise(api, 'two')
  await stream.has('one', 'two')
  const [first] = stream.events
  assert.deepEqual(
    { ...first, at: '' },
    { id: stream.ids[0], type: 'name.published', subject: 'one', at: '', data: { about: 'one' } },
  )
  await stream[Symbol.asyncDispose]()
  await raise(api, 'three')
  await using again = await open(api, { last: stream.ids[0] })
  await again.has('two', 'three')
  await using whole = await open(api, { query: '?after=0' })
  await whole.has('before', 'one', 'two', 'three')
  await using chosen = await open(api, { query: '?after=0&types=name.ended,name.ending' })
  await raise(api, 'four', 'name.ended')
  await chosen.has('four')
})

test('a client that comes back after the control plane was started anew misses nothing and gets nothing twice', async () => {
  await using api = await openTestApi()
  const { db, wakes, identity } = api
  const start = async (stopping: AbortSignal) => {
    const { log } = memoryLog()
    const parts = { db, wakes, identity, log, links: { staticLinks: new Map() }, readsChain: false, gatewayHosts: [] }
    const made = createApi({
      ...parts,
      acceptor: createPinAcceptor(db, wakes),
      authenticator: createAuthenticator(db, wakes),
    })
    return await serve([], { doors: [made.door], log, stopping })
  }
  const openAt = async (url: string, last?: string): Promise<Stream> =>
    new Stream(
      await fetch(`${url}/v1/events`, {
        headers: { Authorization: `Bearer ${api.token}`, ...(last !== undefined && { 'Last-Event-ID': last }) },
      }),
    )
  const stop = new AbortController()
  const first = await start(stop.signal)
  const notifier = runNotifier(api)
  await using stream = await openAt(first.url)
  await raise(api, 'one')
  await stream.has('one')
  stop.abort()
  await notifier[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await until('a clean end', () => stream.ended)
  // It happens while nobody is there to place and tell it.
  await raise(api, 'two')
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  const stopLater = new AbortController()
  await using second = await start(stopLater.signal)
  await using again = await openAt(second.url, stream.ids.at(-1))
  await raise(api, 'three')
  await again.has('two', 'three')
  stopLater.abort()
})

test('events of transactions that commit in another order than they began are all told', async () => {
  await using api = await openTestApi()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api, { everyMs: 1 }))
  await using stream = await open(api)
  const { promise, resolve } = Promise.withResolvers<void>()
  const late = api.db.transaction(async (sql) => {
    await sql.run(`insert into event (tenant_id, type, subject) values ($1, 'name.published', 'late')`, [api.tenantId])
    await promise
  })
  await until('that it has its id', async () => (await api.db.query(`select from event_id_seq where is_called`)).length)
  await raise(api, 'early')
  await stream.has('early')
  resolve()
  await late
  await stream.has('early', 'late')
})

test('many events come in pages, each once, to as many streams as there are', async () => {
  await using api = await openTestApi()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api, { everyMs: 5 }))
  stack.use(runNotifier(api, { everyMs: 5 }))
  const streams = [await open(api), await open(api)]
  const lanes = Array.from({ length: 4 }, async (_, lane) => {
    for (let index = 0; index < 100; index++) await raise(api, `${lane} ${index}`)
  })
  await Promise.all(lanes)
  for (const stream of streams) {
    await until('all', () => stream.events.length >= 400)
    assert.equal(new Set(stream.ids).size, 400)
    const places = stream.ids.map((id) => Number(id.split('-')[1]))
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    )
    await stream[Symbol.asyncDispose]()
  }
})

test('a stream shows nothing of another account, and its ids nothing of how much happens there', async () => {
  await using api = await openTestApi()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  await using theirs = new Stream(await api.send('GET', '/v1/events', { token: api.otherToken }))
  await using mine = await open(api)
  for (let index = 0; index < 5; index++) await raise(api, String(index))
  await mine.has('0', '1', '2', '3', '4')
  const { id } = await api.json<{ id: string }>('POST', '/v1/webhooks', {
    body: { url: 'https://hooks.example/' },
    token: api.otherToken,
  })
  await api.json('POST', `/v1/webhooks/${id}:test`, { token: api.otherToken })
  await theirs.has(id)
  assert.match(theirs.ids[0] ?? '', /-1$/)
  // An id of another account's stream is as good as none.
  await using confused = new Stream(
    await api.send('GET', '/v1/events', { token: api.otherToken, headers: { 'Last-Event-ID': mine.ids[4] ?? '' } }),
  )
  await confused.has(id)
})

test('a quiet stream has heartbeats, and ends once its token is worthless; there is a limit of streams', async () => {
  await using api = await openTestApi({ eventHeartbeatMs: 20 })
  const { id, token } = await api.json<{ id: string; token: string }>('POST', '/v1/tokens', {
    body: { name: 'x', scopes: ['events:read'] },
  })
  await using stream = new Stream(await api.send('GET', '/v1/events', { token }))
  await until('heartbeats', () => stream.heartbeats > 2)
  await api.send('DELETE', `/v1/tokens/${id}`)
  await until('the end', () => stream.ended)
  assert.equal(
    (await failure(await api.send('GET', '/v1/events', { headers: { 'Last-Event-ID': 'x' } }))).reason,
    'BAD_REQUEST',
  )

  const open = await Promise.all(Array.from({ length: 32 }, () => api.send('GET', '/v1/events')))
  assert.equal((await failure(await api.send('GET', '/v1/events'))).reason, 'TOO_MANY_REQUESTS')
  await Promise.all(open.map(async (response) => await response.body?.cancel()))
  await until('room again', async () => {
    const response = await api.send('GET', '/v1/events')
    await response.body?.cancel()
    return response.status === 200
  })
})

/** The data of the events of a type, in their order. */
function dataOf(stream: Stream, type: string): object[] {
  return stream.events.filter((event) => event.type === type).map(({ subject, data }) => ({ subject, ...data }))
}

test('names tell that they are published, end, and have ended, each once, whoever looks after them', async () => {
  await using api = await openTestApi()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  await using stream = await open(api)
  const { name: hosted } = await api.json<{ name: string }>('POST', '/v1/names', {
    body: { label: 'site', value: CONTENT },
  })
  await until('that it is published', () => dataOf(stream, 'name.published').length === 1)
  const published = { label: 'site', mode: 'hosted', value: CONTENT }
  await api.json('PUT', '/v1/names/site', { body: { value: CONTENT } })
  await until('that it is published again', () => dataOf(stream, 'name.published').length === 2)
  assert.deepEqual(dataOf(stream, 'name.published'), [
    { subject: hosted, ...published, sequence: '1' },
    { subject: hosted, ...published, sequence: '2' },
  ])

  const key = generateSigningKey()
  const recordAt = (sequence: bigint): string => {
    const validUntilMs = Date.now() + 48 * HOUR_MS
    const { bytes } = createIpnsRecord(key, { value: CONTENT, sequence, validUntilMs, ttlMs: 1_000 })
    return Buffer.from(bytes).toString('base64')
  }
  const name = key.name.text
  await api.json('POST', '/v1/names', { body: { mode: 'client-signed', name, record: recordAt(1n) } })
  const stop = new AbortController()
  const { log } = memoryLog()
  const options = { db: api.db, wakes: api.wakes, masters: undefined, log, everyMs: 10, signal: stop.signal }
  const ended = Promise.all([startRepublisher(options), startRepublisher(options)])
  // Most of its time has passed.
  await api.db.run(`update ipns_name set received_at = now() - interval '10 days'`)
  await until('the warning', () => dataOf(stream, 'name.ending').length > 0)
  await api.db.run(`update ipns_name set valid_until = now() - interval '1 second'`)
  await until('the end', () => dataOf(stream, 'name.ended').length > 0)
  // A new record makes it live again, and is another one that can end.
  await api.send('PUT', `/v1/names/${name}/records`, {
    body: Buffer.from(recordAt(2n), 'base64'),
    headers: { 'Content-Type': 'application/vnd.ipfs.ipns-record' },
  })
  await api.db.run(`update ipns_name set valid_until = now() - interval '1 second' where name = $1`, [name])
  await until('the second end', () => dataOf(stream, 'name.ended').length > 1)
  stop.abort()
  await ended
  const about = ({ subject, value }: { subject?: string; value?: string }): unknown => [subject, value]
  assert.deepEqual(dataOf(stream, 'name.ended').map(about), [
    [name, CONTENT],
    [name, CONTENT],
  ])
  assert.deepEqual(dataOf(stream, 'name.ending').map(about), [
    [name, CONTENT],
    [name, CONTENT],
  ])
})

test('a followed name tells that it has changed, and once that it cannot be followed', async () => {
  await using api = await openTestApi()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  await using stream = await open(api)
  const txt = new Map([['_dnslink.site.example', `dnslink=/ipfs/${cidOf('one').toString()}`]])
  const stop = new AbortController()
  const { db, wakes } = api
  const lookUpTxt = async (domain: string) => (txt.has(domain) ? [{ text: txt.get(domain) ?? '' }] : [])
  const { log } = memoryLog()
  const ended = startFollower({ db, wakes, links: { lookUpTxt }, log, everyMs: 10, signal: stop.signal })
  await api.json('PUT', '/v1/follows/site.example', { body: {} })
  await until('the first version', () => dataOf(stream, 'follow.changed').length === 1)
  const [{ requestid } = assert.fail()] = dataOf(stream, 'follow.changed') as { requestid: string }[]
  await api.json('GET', `/v1/pins/${requestid}`)
  const looks = async (): Promise<void> => {
    const at = async (): Promise<unknown> =>
      (await db.query<{ at: string }>('select checked_at as at from follow'))[0]?.at
    for (let count = 0; count < 2; count++) {
      const before = await at()
      await db.run('update follow set next_at = now()')
      await until('a look', async () => (await at()) !== before)
    }
  }
  txt.clear()
  await looks()
  txt.set('_dnslink.site.example', `dnslink=/ipfs/${cidOf('two').toString()}`)
  await looks()
  await until('the second version', () => dataOf(stream, 'follow.changed').length === 2)
  stop.abort()
  await ended
  assert.deepEqual(
    stream.events.map(({ type, subject }) => [type, subject]),
    ['follow.changed', 'follow.failing', 'follow.changed'].map((type) => [type, 'site.example']),
  )
})

test('pins tell that they are pinned or have failed, to accounts that listen', async () => {
  await using api = await openTestApi()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  const pin = async (text: string, token: string): Promise<string> => {
    const body = { cid: cidOf(text).toString(), name: text }
    return (await api.json<{ requestid: string }>('POST', '/psa/pins', { body, token })).requestid
  }
  await using stream = await open(api)
  const [mine, failing] = [await pin('mine', api.token), await pin('failing', api.token)]
  await pin('unheard', api.otherToken)
  // A webhook for other things does not ask for them.
  const body = { url: 'https://hooks.example/', types: ['name.ended'] }
  await api.json('POST', '/v1/webhooks', { body, token: api.otherToken })
  const settle = async (text: string, otherwise: 'pinned' | 'failed'): Promise<void> => {
    const [row] = await api.db.query<{ contentId: string; policyId: number }>(
      'select content_id as "contentId", policy_id as "policyId" from pin where cid = $1',
      [cidOf(text).toString()],
    )
    const statuses = [{ policyId: row?.policyId ?? 0, evidenceAt: null, keeps: false, otherwise }]
    const decision = { contentId: row?.contentId ?? '', statuses } as unknown as Decision
    for (let count = 0; count < 2; count++) await settlePins(api.db, [decision])
  }
  await settle('unheard', 'pinned')
  await settle('mine', 'pinned')
  await settle('failing', 'failed')
  await until('both', () => stream.events.length === 2)
  assert.deepEqual(dataOf(stream, 'pin.pinned'), [{ subject: mine, cid: cidOf('mine').toString(), name: 'mine' }])
  assert.deepEqual(dataOf(stream, 'pin.failed'), [
    { subject: failing, cid: cidOf('failing').toString(), name: 'failing' },
  ])
  assert.deepEqual(await api.db.query('select from event e where e.tenant_id <> $1', [api.tenantId]), [])
})
