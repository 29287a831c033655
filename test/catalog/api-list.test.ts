import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { failure } from '../support/web.ts'

interface Page {
  count: number
  results: { requestid: string; created: string; status: string; pin: { cid: string; name?: string } }[]
}

const ALL = 'queued,pinning,pinned,failed'
const cid = rawCid('listed').toString()

async function add(api: TestApi, pin: Record<string, unknown> = {}): Promise<string> {
  return (await api.json<{ requestid: string }>('POST', '/psa/pins', { body: { cid, ...pin } })).requestid
}

function list(api: TestApi, query: Record<string, string> = {}): Promise<Page> {
  return api.json<Page>('GET', `/psa/pins?${new URLSearchParams(query).toString()}`)
}

async function names(api: TestApi, query: Record<string, string>): Promise<string[]> {
  return (await list(api, query)).results.map(({ pin }) => pin.name ?? '').toSorted()
}

test('a bare list shows pinned pins; any filter without status shows all states', async () => {
  await using api = await openTestApi()
  const pinned = await add(api, { name: 'a', meta: { app: 'x' } })
  await add(api, { name: 'a', meta: { app: 'x' } })
  await api.db.run(`update pin set status = 'pinned' where id = $1`, [pinned])
  assert.deepEqual(
    (await list(api)).results.map(({ requestid }) => requestid),
    [pinned],
  )
  for (const query of [{ name: 'a' }, { cid }, { meta: '{"app":"x"}' }, { after: '2020-01-01T00:00:00Z' }]) {
    assert.equal((await list(api, query as Record<string, string>)).count, 2, JSON.stringify(query))
  }
  assert.equal((await list(api, { name: 'a', status: 'pinned' })).count, 1)
  assert.equal((await list(api, { before: '2099-01-01T00:00:00Z' })).count, 1)
})

test('names are matched exactly, without case, in part, and literally', async () => {
  await using api = await openTestApi()
  for (const name of ['Report', 'report', 'my report.pdf', '100% sure', '100 percent', 'a_b', 'axb', 'ÜBER'])
    await add(api, { name })
  assert.deepEqual(await names(api, { name: 'Report' }), ['Report'])
  assert.deepEqual(await names(api, { name: 'Report', match: 'exact' }), ['Report'])
  assert.deepEqual(await names(api, { name: 'REPORT', match: 'iexact' }), ['Report', 'report'])
  assert.deepEqual(await names(api, { name: 'epor', match: 'partial' }), ['Report', 'my report.pdf', 'report'])
  assert.deepEqual(await names(api, { name: 'EPOR', match: 'partial' }), [])
  assert.deepEqual(await names(api, { name: 'EPOR', match: 'ipartial' }), ['Report', 'my report.pdf', 'report'])
  assert.deepEqual(await names(api, { name: '%', match: 'partial' }), ['100% sure'])
  assert.deepEqual(await names(api, { name: 'a_b', match: 'ipartial' }), ['a_b'])
  assert.deepEqual(await names(api, { name: 'über', match: 'iexact' }), ['ÜBER'])
})

test('meta must have all the pairs that are asked for', async () => {
  await using api = await openTestApi()
  await add(api, { name: 'one', meta: { app: 'x', stage: 'live' } })
  await add(api, { name: 'two', meta: { app: 'x' } })
  assert.deepEqual(await names(api, { meta: '{"app":"x"}' }), ['one', 'two'])
  assert.deepEqual(await names(api, { meta: '{"app":"x","stage":"live"}' }), ['one'])
  assert.deepEqual(await names(api, { meta: '{"app":"y"}' }), [])
})

test('pages follow each other without a gap or a repetition, also when before is cut to milliseconds', async () => {
  await using api = await openTestApi()
  const made = new Set<string>()
  for (let index = 0; index < 25; index++) made.add(await add(api, { name: `n${index}` }))
  const seen: string[] = []
  let before: string | undefined
  let left = made.size
  while (left > 0) {
    const page = await list(api, { status: ALL, ...(before === undefined ? {} : { before }) })
    assert.equal(page.count, left)
    assert.ok(page.results.length > 0 && page.results.length <= 10)
    seen.push(...page.results.map(({ requestid }) => requestid))
    left -= page.results.length
    before = new Date(page.results.at(-1)?.created ?? '').toISOString()
  }
  assert.equal(seen.length, made.size)
  assert.deepEqual(new Set(seen), made)
  const newest = await list(api, { status: ALL })
  assert.deepEqual(
    newest.results.map(({ created }) => created),
    newest.results
      .map(({ created }) => created)
      .sort()
      .reverse(),
  )
})

test('before and after are strict, to the microsecond, in any offset', async () => {
  await using api = await openTestApi()
  await add(api, { name: 'one' })
  const created = (await list(api, { name: 'one' })).results[0]?.created ?? ''
  assert.equal((await list(api, { status: ALL, before: created })).count, 0)
  assert.equal((await list(api, { status: ALL, after: created })).count, 0)
  assert.equal(
    (await list(api, { status: ALL, before: created.replace(/\d{6}Z/, '999999Z'), after: '2026-01-01T00:00:00+02:00' }))
      .count,
    1,
  )
  const unescaped = await api.json<Page>('GET', `/psa/pins?status=${ALL}&after=2026-01-01T00:00:00+02:00`)
  assert.equal(unescaped.count, 1)
})

test('limit is ten unless told, and at most 1,000', async () => {
  await using api = await openTestApi()
  for (let index = 0; index < 12; index++) await add(api)
  assert.equal((await list(api, { status: ALL })).results.length, 10)
  assert.equal((await list(api, { status: ALL, limit: '1' })).results.length, 1)
  assert.equal((await list(api, { status: ALL, limit: '1000' })).results.length, 12)
})

const refused: [string, Record<string, string>, RegExp][] = [
  ['an unknown status', { status: 'pinned,done' }, /^status/],
  ['an unknown match', { match: 'fuzzy' }, /^match: /],
  ['a date that is none', { before: 'yesterday' }, /^before: .*time/],
  ['a date without a time', { after: '2026-01-01' }, /^after: .*time/],
  ['a day that does not exist', { after: '2026-02-30T00:00:00Z' }, /^after: .*time/],
  ['limit 0', { limit: '0' }, /^limit: /],
  ['limit 1001', { limit: '1001' }, /^limit: /],
  ['limit 1.5', { limit: '1.5' }, /^limit: /],
  ['limit ten', { limit: 'ten' }, /^limit: /],
  ['a name of 256 characters', { name: 'x'.repeat(256) }, /^name: /],
  ['a CID that is none', { cid: 'Qm' }, /^cid: .*not a CID/],
  [
    'eleven CIDs',
    { cid: Array.from({ length: 11 }, (_, index) => rawCid(String(index)).toString()).join() },
    /^cid: at most 10/,
  ],
  ['meta that is no JSON', { meta: '{' }, /^meta: .*JSON/],
  ['meta that is a list', { meta: '[]' }, /^meta: /],
  ['meta with a number', { meta: '{"a":1}' }, /^meta\.a: /],
]

test('a wrong query is answered 400 with the parameter that is wrong', async (t) => {
  await using api = await openTestApi()
  for (const [title, query, details] of refused) {
    await t.test(title, async () => {
      const response = await api.send('GET', `/psa/pins?${new URLSearchParams(query).toString()}`)
      assert.equal(response.status, 400)
      const told = await failure(response)
      assert.equal(told.reason, 'BAD_REQUEST')
      assert.match(told.details, details)
    })
  }
})

test('times at the ends of the calendar are compared, and those beyond them refused', async () => {
  await using api = await openTestApi()
  await add(api)
  assert.equal((await list(api, { after: '0001-01-01T00:00:00Z', before: '9999-12-31T23:59:59.999999Z' })).count, 1)
  for (const time of ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00']) {
    for (const side of ['before', 'after']) {
      const response = await api.send('GET', `/psa/pins?${side}=${encodeURIComponent(time)}`)
      assert.equal(response.status, 400, `${side} ${time}`)
      assert.match((await failure(response)).details, new RegExp(`^${side}: .*time`))
    }
  }
})
