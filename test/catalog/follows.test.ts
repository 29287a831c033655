import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import type { TxtRecord } from '../../services/naming/dnslink.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { startFollower } from '../../services/republisher/follower.ts'
import { failure, memoryLog } from '../support/web.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { addNode } from '../support/node-rows.ts'
import { cidOf } from '../support/pins.ts'
import { settlePinsOf } from '../support/pinned.ts'
import { until } from '../support/until.ts'

const HOUR_MS = 3_600_000

interface Follow {
  name: string
  value: string | null
  problem: { code: string } | null
  versions: { cid: string; pin: { requestid: string; status: string } | null }[]
}

/** An API with a follower beside it that asks this for TXT records. */
async function withFollower(txt: ReadonlyMap<string, string> = new Map()): Promise<{ api: TestApi } & AsyncDisposable> {
  const api = await openTestApi()
  const stop = new AbortController()
  const lookUpTxt = async (domain: string): Promise<TxtRecord[]> => {
    const text = txt.get(domain)
    return text === undefined ? [] : [{ text }]
  }
  const { db, wakes } = api
  const { log } = memoryLog()
  const ended = startFollower({ db, wakes, links: { lookUpTxt }, log, everyMs: 20, signal: stop.signal })
  return {
    api,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await ended
      await api[Symbol.asyncDispose]()
    },
  }
}

function cid(text: string): string {
  return cidOf(text).toString()
}

function get(api: TestApi, name: string): Promise<Follow> {
  return api.json<Follow>('GET', `/v1/follows/${name}`)
}

/** Waits until the follow has these versions, the newest first. */
async function hasVersions(api: TestApi, name: string, ...texts: string[]): Promise<Follow> {
  return await until(`${texts.join()} of ${name}`, async () => {
    const follow = await get(api, name)
    return follow.versions.map((version) => version.cid).join() === texts.map(cid).join() && follow
  })
}

async function lookAgain(api: TestApi): Promise<void> {
  await api.db.run('update follow set next_at = now()')
}

test('of a followed name each version is pinned by the policy, and the old one goes once the new one is pinned', async () => {
  await using opened = await withFollower()
  const { api } = opened
  const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { value: cid('one') } })
  await api.json('PUT', '/v1/policies/two', { body: { copies: { min: 1, target: 2 } } })
  const put = await api.send('PUT', `/v1/follows/${name}`, { body: { policy: 'two', keep: 1 } })
  assert.equal(put.status, 201)
  const first = await hasVersions(api, name, 'one')
  const [{ pin } = assert.fail('no version')] = first.versions
  const details = await api.json<{ policy: { name: string } }>('GET', `/v1/pins/${pin?.requestid}`)
  assert.equal(details.policy.name, 'two')
  await settlePinsOf(api.db, ['one'])

  // Noticed at once, not when its time comes.
  await api.json('PUT', `/v1/names/${name}`, { body: { value: cid('two') } })
  await hasVersions(api, name, 'two', 'one')
  await settlePinsOf(api.db, ['two'], 'failed')
  await api.json('PUT', `/v1/names/${name}`, { body: { value: cid('three') } })
  await hasVersions(api, name, 'three', 'one')
  await settlePinsOf(api.db, ['three'])
  const last = await hasVersions(api, name, 'three')
  assert.equal(last.value, `/ipfs/${cid('three')}`)
  const { results } = await api.json<{ results: { pin: { cid: string } }[] }>(
    'GET',
    '/psa/pins?status=pinned,failed,queued',
  )
  assert.deepEqual(
    results.map((one) => one.pin.cid),
    [cid('three')],
  )
})

test('as many versions stay as are kept; one that comes back is pinned already', async () => {
  await using opened = await withFollower()
  const { api } = opened
  const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { value: cid('a') } })
  await api.json('PUT', `/v1/follows/${name}`, { body: { keep: 2 } })
  const seen: string[] = []
  for (const text of ['a', 'b', 'c']) {
    if (text !== 'a') await api.json('PUT', `/v1/names/${name}`, { body: { value: cid(text) } })
    await hasVersions(api, name, text, ...seen.slice(0, 2))
    seen.unshift(text)
    await settlePinsOf(api.db, [text])
    await hasVersions(api, name, ...seen.slice(0, 2))
  }
  const pinsOf = ({ versions }: Follow): unknown[] => versions.map(({ pin }) => pin)
  const before = await get(api, name)
  await api.json('PUT', `/v1/names/${name}`, { body: { value: cid('b') } })
  assert.deepEqual(pinsOf(await hasVersions(api, name, 'b', 'c')), pinsOf(before).toReversed())
})

test('a pin that somebody removes is made again', async () => {
  await using opened = await withFollower()
  const { api } = opened
  const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { value: cid('x') } })
  await api.json('PUT', `/v1/follows/${name}`, { body: {} })
  const [version] = (await hasVersions(api, name, 'x')).versions
  await api.send('DELETE', `/psa/pins/${version?.pin?.requestid}`)
  await lookAgain(api)
  await until('another pin', async () => {
    const [now] = (await get(api, name)).versions
    return now?.pin && now.pin.requestid !== version?.pin?.requestid
  })
})

test('domains are followed by their DNSLinks, over names and paths; what leads nowhere says so and loses nothing', async () => {
  const key = generateSigningKey()
  const txt = new Map([['_dnslink.site.example', `dnslink=/ipns/${key.name.text}/docs`]])
  await using opened = await withFollower(txt)
  const { api } = opened
  const record = createIpnsRecord(key, {
    value: `/ipfs/${cid('root')}/site`,
    sequence: 1n,
    validUntilMs: Date.now() + HOUR_MS,
    ttlMs: 1_000,
  })
  await api.json('POST', '/v1/names', {
    body: { mode: 'client-signed', name: key.name.text, record: Buffer.from(record.bytes).toString('base64') },
  })
  await api.json('PUT', '/v1/follows/Site.Example.', { body: {} })
  const follow = await hasVersions(api, 'site.example', 'root')
  assert.equal(follow.value, `/ipfs/${cid('root')}/site/docs`)

  txt.delete('_dnslink.site.example')
  await lookAgain(api)
  const lost = await until('the problem', async () => {
    const now = await get(api, 'site.example')
    return now.problem !== null && now
  })
  assert.equal(lost.problem?.code, 'NAME_NOT_RESOLVED')
  assert.deepEqual(lost.versions, follow.versions)

  txt.set('_dnslink.site.example', `dnslink=/ipfs/${cid('next')}`)
  await lookAgain(api)
  assert.equal((await hasVersions(api, 'site.example', 'next', 'root')).problem, null)
})

test('what is published here is noticed while names that nodes are slow to find fill all room', async () => {
  await using opened = await withFollower()
  const { api } = opened
  const asked = new Set<string>()
  const hanging = createServer((request) => asked.add(request.url ?? '')).listen(0, '127.0.0.1')
  await once(hanging, 'listening')
  try {
    await addNode(api.db, { name: 'slow', region: 'shanghai' })
    const { port } = hanging.address() as AddressInfo
    await api.db.run('update node set gateway = $1', [`http://127.0.0.1:${port}`])
    const slow = Array.from({ length: 40 }, () => generateSigningKey().name.text)
    for (const name of slow) await api.json('PUT', `/v1/follows/${name}`, { body: {} })
    await until('no room', () => asked.size >= 32)
    const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { value: cid('one') } })
    await api.json('PUT', `/v1/follows/${name}`, { body: {} })
    // The first version may be missed, or not: it was published before anybody followed.
    for (const text of ['two', 'three']) {
      await api.json('PUT', `/v1/names/${name}`, { body: { value: cid(text) } })
      await until(`version ${text}`, async () => (await get(api, name)).versions[0]?.cid === cid(text))
    }
  } finally {
    hanging.closeAllConnections()
    hanging.close()
  }
})

test('of two followers a name is done by one, and each version is pinned once', async () => {
  await using opened = await withFollower()
  const { api } = opened
  const stop = new AbortController()
  const { db, wakes } = api
  const second = startFollower({ db, wakes, links: {}, log: memoryLog().log, everyMs: 5, signal: stop.signal })
  const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { value: cid('0') } })
  await api.json('PUT', `/v1/follows/${name}`, { body: { keep: 100 } })
  for (let version = 1; version <= 8; version++) {
    await api.json('PUT', `/v1/names/${name}`, { body: { value: cid(String(version)) } })
    await until(`version ${version}`, async () => (await get(api, name)).versions[0]?.cid === cid(String(version)))
  }
  stop.abort()
  await second
  const { count } = await api.json<{ count: number }>('GET', '/psa/pins?status=queued,pinning,pinned,failed')
  assert.equal((await get(api, name)).versions.length, count)
})

test('a name that is followed no more loses its pins; other pins of the same content stay', async () => {
  await using opened = await withFollower()
  const { api } = opened
  const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { value: cid('mine') } })
  const own = await api.json<{ requestid: string }>('POST', '/psa/pins', { body: { cid: cid('mine') } })
  await api.json('PUT', `/v1/follows/${name}`, { body: {} })
  await hasVersions(api, name, 'mine')
  assert.equal((await api.send('DELETE', `/v1/follows/${name}`)).status, 204)
  assert.equal((await api.send('GET', `/v1/follows/${name}`)).status, 404)
  assert.equal((await api.send('DELETE', `/v1/follows/${name}`)).status, 404)
  const { results } = await api.json<{ results: { requestid: string }[] }>('GET', '/psa/pins?status=queued,pinned')
  assert.deepEqual(
    results.map(({ requestid }) => requestid),
    [own.requestid],
  )
})

test('follows belong to their account; what cannot be followed is refused', async () => {
  await using opened = await withFollower()
  const { api } = opened
  await api.json('PUT', '/v1/follows/a.example', { body: {} })
  assert.equal((await api.send('GET', '/v1/follows/a.example', { token: api.otherToken })).status, 404)
  assert.deepEqual(await api.json('GET', '/v1/follows', { token: api.otherToken }), { follows: [] })
  const reasonOf = async (name: string, body: object = {}): Promise<string> =>
    (await failure(await api.send('PUT', `/v1/follows/${name}`, { body }))).reason
  for (const name of ['vitalik.eth', encodeURIComponent('señor.eth'), encodeURIComponent('ens://shop.example.com')]) {
    assert.equal(await reasonOf(name), 'NOT_IMPLEMENTED')
  }
  assert.equal(await reasonOf(cid('content')), 'INVALID_NAME')
  assert.equal(await reasonOf('a.example', { policy: 'unknown' }), 'BAD_REQUEST')
  assert.equal(await reasonOf('a.example', { keep: 0 }), 'BAD_REQUEST')
})
