import assert from 'node:assert/strict'
import { test } from 'node:test'
import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { setTenantLimits } from '../../services/catalog/tenants.ts'
import { DAG_PB, RAW, SHA2_256 } from '../../services/core/cid.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { addNode } from '../support/node-rows.ts'
import { failure } from '../support/web.ts'

interface PinStatus {
  requestid: string
  status: string
  created: string
  pin: { cid: string; name?: string; origins?: string[]; meta?: Record<string, string> }
  delegates: string[]
  info: Record<string, string>
}

const cid = rawCid('hello').toString()

function add(api: TestApi, pin: Record<string, unknown>): Promise<PinStatus> {
  return api.json('POST', '/psa/pins', { body: { cid, ...pin } })
}

async function pinCount(api: TestApi): Promise<number> {
  return (await api.json<{ pins: number }>('GET', '/v1/usage')).pins
}

test('a pin is accepted as queued, and what the client wrote comes back', async () => {
  await using api = await openTestApi()
  const pin = {
    cid,
    name: 'héllo',
    origins: [`/ip4/1.2.3.4/tcp/4001/p2p/12D3KooWGRUVh6o6rRXN5ciB4n5nPJDPvVAjyqz3kCEmS7GXQf5M`],
    meta: { app: 'x', empty: '' },
  }
  const response = await api.send('POST', '/psa/pins', { body: pin })
  assert.equal(response.status, 202)
  const made = (await response.json()) as PinStatus
  assert.equal(made.status, 'queued')
  assert.deepEqual(made.pin, pin)
  assert.match(made.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  assert.ok(Object.values(made.info).every((value) => typeof value === 'string'))
  assert.deepEqual(await api.json('GET', `/psa/pins/${made.requestid}`), made)
})

test('the same content can be pinned again, under another request id and another moment', async () => {
  await using api = await openTestApi()
  const [first, second] = await Promise.all([add(api, {}), add(api, {})])
  assert.notEqual(first.requestid, second.requestid)
  assert.notEqual(first.created, second.created)
})

test('every way to write a CID is one content and is echoed as it was written', async () => {
  await using api = await openTestApi()
  const v0 = CID.createV0(create(SHA2_256, rawCid('tree').multihash.digest))
  const v1 = CID.createV1(DAG_PB, v0.multihash)
  const texts = [v0.toString(), v1.toString(), v1.toString(base36), v1.toString().toUpperCase()]
  for (const text of texts) assert.equal((await add(api, { cid: text })).pin.cid, text)
  const [row] = await api.db.query<{ contents: number }>('select count(*)::int as contents from content')
  assert.equal(row?.contents, 1)
  for (const text of texts) {
    const { count } = await api.json<{ count: number }>('GET', `/psa/pins?cid=${text}`)
    assert.equal(count, texts.length)
  }
})

test('extra fields change nothing', async () => {
  await using api = await openTestApi()
  const made = await add(api, {
    tenant_id: 2,
    status: 'pinned',
    created: '2000-01-01T00:00:00Z',
    requestid: 'mine',
    replicas: 1_000_000,
  })
  assert.equal(made.status, 'queued')
  assert.notEqual(made.requestid, 'mine')
  assert.ok(made.created > '2026')
  assert.equal(await pinCount(api), 1)
})

const digest = new Uint8Array(32).fill(7)
const raw = (code: number, bytes = digest): string => CID.createV1(RAW, create(code, bytes)).toString()
const origins = Array.from({ length: 21 }, (_, index) => `/ip4/1.2.3.4/tcp/${4_000 + index}`)
const keys = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`key-${index}`, 'x']))

const refused: [string, unknown, RegExp][] = [
  ['an empty CID', { cid: '' }, /^cid: /],
  ['half a CID', { cid: 'Qm' }, /^cid: /],
  ['a CID of 100,001 characters', { cid: `b${'a'.repeat(100_000)}` }, /^cid: /],
  ['a CID with a foreign letter', { cid: 'bafy\u00e9' }, /^cid: /],
  ['a CID with a NUL behind it', { cid: `${cid}\0` }, /^cid: /],
  ['no CID', { cid: undefined }, /^cid: /],
  ['a CID that is a number', { cid: 7 }, /^cid: /],
  ['md5', { cid: raw(0xd5, digest.subarray(0, 16)) }, /hash function 0xd5 is not allowed/],
  ['murmur3', { cid: raw(0x22, digest.subarray(0, 16)) }, /hash function 0x22 is not allowed/],
  ['an unassigned hash function', { cid: raw(0x9999) }, /hash function 0x9999 is not allowed/],
  ['a digest of 4 bytes', { cid: raw(0x12, digest.subarray(0, 4)) }, /at least 20 bytes/],
  ['an identity CID of 200 bytes', { cid: raw(0, new Uint8Array(200)) }, /at most 128 bytes/],
  ['the CID of a peer', { cid: CID.createV1(0x72, create(0x12, digest)).toString() }, /CID of a key/],
  ['a name of 256 characters', { name: 'x'.repeat(256) }, /^name: .*255/],
  ['a name with NUL', { name: 'a\0b' }, /^name: /],
  ['a name with half a surrogate pair', { name: '\ud800' }, /^name: /],
  ['a name that is a number', { name: 7 }, /^name: /],
  ['21 origins', { origins }, /^origins: /],
  ['an origin that is no multiaddr', { origins: ['http://example.com'] }, /^origins\[0\]: .*multiaddr/],
  ['an origin that is too long', { origins: [`/dns4/${'x'.repeat(2_000)}`] }, /^origins\[0\]: /],
  ['an origin with NUL', { origins: ['/dns4/a\0b/tcp/1'] }, /^origins\[0\]: .*cannot be stored/],
  ['an origin with half a surrogate pair', { origins: ['/dns4/\ud800/tcp/1'] }, /^origins\[0\]: .*cannot be stored/],
  ['1,000 keys in meta', { meta: keys }, /^meta: .*100 keys/],
  ['an object in meta', { meta: { a: { b: 'c' } } }, /^meta\.a: /],
  ['a number in meta', { meta: { a: 1 } }, /^meta\.a: /],
  ['a list as meta', { meta: ['a'] }, /^meta: /],
  ['1 MB in meta', { meta: { a: 'x'.repeat(1_000_000) } }, /^meta\.a: .*4096/],
  ['NUL in meta', { meta: { a: '\0' } }, /^meta\.a: /],
  ['a policy that is none', { meta: { policy: 'nobody-saved-this' } }, /no policy named nobody-saved-this/],
  ['a policy whose name cannot be one', { meta: { policy: '../x' } }, /^meta\.policy: /],
  ['an expiry that is no time', { meta: { expires: 'soon' } }, /^meta\.expires: .*time/],
  ['an expiry in the year 0', { meta: { expires: '0001-01-01T00:00:00+01:00' } }, /^meta\.expires: .*time/],
  ['an expiry in the year 10,000', { meta: { expires: '9999-12-31T23:59:59-01:00' } }, /^meta\.expires: .*time/],
]

test('what cannot be pinned is refused with the field that is wrong, and leaves nothing', async (t) => {
  await using api = await openTestApi()
  for (const [title, pin, details] of refused) {
    await t.test(title, async () => {
      const response = await api.send('POST', '/psa/pins', { body: { cid, ...(pin as object) } })
      assert.equal(response.status, 400)
      const told = await failure(response)
      assert.equal(told.reason, 'BAD_REQUEST')
      assert.match(told.details, details)
    })
  }
  assert.equal(await pinCount(api), 0)
})

test('what is unusual is accepted', async () => {
  await using api = await openTestApi()
  const accepted = [
    { cid: raw(0x11, digest.subarray(0, 20)) },
    { name: '' },
    { name: '😀'.repeat(255) },
    {
      origins: [
        '/ip4/127.0.0.1/tcp/5432',
        '/dns4/metadata.internal/tcp/80/http',
        '/ip6/::1/tcp/1',
        '/ip4/169.254.169.254/tcp/80',
      ],
    },
    { origins: [] },
    { meta: {} },
    { meta: { ключ: 'значение' } },
  ]
  for (const pin of accepted) await add(api, pin)
  assert.equal(await pinCount(api), accepted.length)
})

test('over the quota a pin is refused with 409 INSUFFICIENT_FUNDS', async () => {
  await using api = await openTestApi()
  await setTenantLimits(api.db, api.tenantId, { maxPins: 1, maxPinBytes: undefined })
  await add(api, {})
  const response = await api.send('POST', '/psa/pins', { body: { cid } })
  assert.equal(response.status, 409)
  assert.equal((await failure(response)).reason, 'INSUFFICIENT_FUNDS')
})

test('a replaced pin is gone at once, the new one has another id, and what the old one kept stays', async () => {
  await using api = await openTestApi()
  const old = await add(api, { name: 'site' })
  const next = rawCid('next').toString()
  const response = await api.send('POST', `/psa/pins/${old.requestid}`, { body: { cid: next, name: 'site' } })
  assert.equal(response.status, 202)
  const made = (await response.json()) as PinStatus
  assert.equal(made.pin.cid, next)
  assert.notEqual(made.requestid, old.requestid)
  assert.equal((await api.send('GET', `/psa/pins/${old.requestid}`)).status, 404)
  assert.equal((await api.send('GET', `/psa/pins/${made.requestid}`)).status, 200)
  const [kept] = await api.db.query<{ pins: number }>('select pins from content order by id limit 1')
  assert.equal(kept?.pins, 1)
  assert.equal(await pinCount(api), 1)
})

test('a pin can be replaced only by one that could be made, and stays otherwise', async () => {
  await using api = await openTestApi()
  const old = await add(api, {})
  assert.equal((await api.send('POST', `/psa/pins/${old.requestid}`, { body: { cid: 'Qm' } })).status, 400)
  assert.equal(
    (await api.send('POST', `/psa/pins/${old.requestid}`, { body: { cid, meta: { policy: 'none-such' } } })).status,
    400,
  )
  assert.equal((await api.send('GET', `/psa/pins/${old.requestid}`)).status, 200)
})

test('removing a pin answers 202 without a body, and a second time 404', async () => {
  await using api = await openTestApi()
  const { requestid } = await add(api, {})
  const removed = await api.send('DELETE', `/psa/pins/${requestid}`)
  assert.equal(removed.status, 202)
  assert.equal(await removed.text(), '')
  assert.equal((await api.send('DELETE', `/psa/pins/${requestid}`)).status, 404)
  assert.equal(await pinCount(api), 0)
})

test('an id that cannot be one is not found', async () => {
  await using api = await openTestApi()
  for (const method of ['GET', 'DELETE']) {
    const response = await api.send(method, '/psa/pins/not-a-uuid')
    assert.equal(response.status, 404)
    assert.equal((await failure(response)).reason, 'NOT_FOUND')
  }
})

test('the meta keys policy and expires choose a policy and an end', async () => {
  await using api = await openTestApi()
  await api.json('PUT', '/v1/policies/two', { body: { copies: { min: 1, target: 2 } } })
  const made = await add(api, { meta: { policy: 'two', expires: '2099-01-02T03:04:05+01:00' } })
  assert.equal(made.info['policy'], 'two')
  assert.equal(made.info['pinned_until'], '2099-01-02T02:04:05.000000Z')
  assert.deepEqual(made.pin.meta, { policy: 'two', expires: '2099-01-02T03:04:05+01:00' })
})

test('delegates are two live nodes of each region, always with a peer id', async () => {
  await using api = await openTestApi()
  for (const region of ['shanghai', 'frankfurt']) {
    for (const number of [1, 2, 3]) await addNode(api.db, { name: `${region}-${number}`, region })
  }
  await addNode(api.db, { name: 'virginia-1', region: 'virginia', liveness: 'down' })
  const { delegates } = await add(api, {})
  assert.equal(new Set(delegates).size, 4)
  assert.ok(delegates.every((address) => /\/p2p\/12D3\w+$/.test(address)))
})

test('a cluster without nodes still names a delegate with a peer id', async () => {
  await using api = await openTestApi()
  const { delegates } = await add(api, {})
  assert.equal(delegates.length, 1)
  assert.match(delegates[0] ?? '', /^\/p2p\/12D3KooW\w{44}$/)
})
