import assert from 'node:assert/strict'
import { test } from 'node:test'
import { masterKeyOf } from '../../services/catalog/master-key.ts'
import { readMasterKeys } from '../../services/catalog/master-key-setting.ts'
import { withNameKey } from '../../services/catalog/name-keys.ts'
import { getName } from '../../services/catalog/names.ts'
import { rewrapTenantKeys } from '../../services/catalog/tenant-keys.ts'
import { hasCode } from '../../services/core/errors.ts'
import { createIpnsRecord, type NewRecord } from '../../services/naming/create-record.ts'
import { parseIpnsName, peerIdOf } from '../../services/naming/ipns-name.ts'
import { validateIpnsRecord, type IpnsRecord } from '../../services/naming/ipns-record.ts'
import { generateSigningKey, importSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import { openTestApi, TEST_MASTER_KEY, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { failure, memoryLog } from '../support/web.ts'

const RECORD = 'application/vnd.ipfs.ipns-record'
const HOUR_MS = 3_600_000

interface NameView {
  name: string
  label: string | null
  mode: string
  value: string | null
  sequence: string
  state: string
  validUntil: string | null
}

function path(text: string): string {
  return `/ipfs/${rawCid(text).toString()}`
}

function create(api: TestApi, body: object = {}, token = api.token): Promise<NameView> {
  return api.json<NameView>('POST', '/v1/names', { body, token })
}

function publish(api: TestApi, name: string, value: string, ifMatch?: string): Promise<Response> {
  const headers: Record<string, string> = ifMatch === undefined ? {} : { 'If-Match': `"${ifMatch}"` }
  return api.send('PUT', `/v1/names/${name}`, { body: { value }, headers })
}

async function recordOf(api: TestApi, name: string): Promise<IpnsRecord> {
  const response = await api.send('GET', `/v1/names/${name}/records`, { headers: { Accept: RECORD } })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), RECORD)
  return validateIpnsRecord(parseIpnsName(name), new Uint8Array(await response.arrayBuffer()), Date.now())
}

function made(key: SigningKey, wanted: Partial<NewRecord> = {}): IpnsRecord {
  const validUntilMs = Date.now() + HOUR_MS
  return createIpnsRecord(key, { value: path('signed'), sequence: 1n, validUntilMs, ttlMs: 60_000, ...wanted })
}

function put(api: TestApi, name: string, record: Uint8Array): Promise<Response> {
  return api.send('PUT', `/v1/names/${name}/records`, { body: record, headers: { 'Content-Type': RECORD } })
}

test('a hosted name is made, published, and found by its key in any form and by its label', async () => {
  await using api = await openTestApi()
  const { name } = await create(api, { label: 'my-site' })
  const response = await publish(api, name, path('one'), '0')
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('etag'), '"1"')
  const record = await recordOf(api, name)
  assert.deepEqual([Buffer.from(record.value).toString(), record.sequence], [path('one'), 1n])
  for (const form of [name, peerIdOf(parseIpnsName(name)), 'my-site']) {
    const found = await api.json<NameView>('GET', `/v1/names/${form}`)
    assert.deepEqual([found.name, found.value, found.sequence, found.state], [name, path('one'), '1', 'live'])
  }
  const { names } = await api.json<{ names: NameView[] }>('GET', '/v1/names')
  assert.deepEqual(
    names.map(({ label }) => label),
    ['my-site'],
  )
})

test('of forty that publish at once, each sequence has one winner and no publication is lost', async () => {
  await using api = await openTestApi()
  const { name } = await create(api)
  const [won, lost]: [string[], number[]] = [[], []]
  const values = Array.from({ length: 40 }, (_, n) => path(`value ${n}`))
  const tries = await Promise.all(
    values.map(async (value) => ({ value, response: await publish(api, name, value, '0') })),
  )
  for (const { value, response } of tries) {
    if (response.status === 200) won.push(value)
    else lost.push(response.status)
  }
  assert.equal(won.length, 1)
  assert.deepEqual(new Set(lost), new Set([409]))
  // Each that was too late tries again with what it was told, until it wins.
  await Promise.all(
    tries
      .filter(({ response }) => response.status !== 200)
      .map(async ({ value, response: first }) => {
        let told = ((await first.json()) as { current: NameView }).current.sequence
        for (;;) {
          const response = await publish(api, name, value, told)
          if (response.status === 200) return
          assert.equal(response.status, 409)
          told = ((await response.json()) as { current: NameView }).current.sequence
        }
      }),
  )
  const { records } = await api.json<{ records: { sequence: string; value: string }[] }>(
    'GET',
    `/v1/names/${name}/records`,
  )
  assert.deepEqual(
    records.map(({ sequence }) => Number(sequence)),
    Array.from({ length: 40 }, (_, n) => 40 - n),
  )
  assert.deepEqual(records.map(({ value }) => value).sort(), values.toSorted())
})

test('without an expected sequence those that publish at once come one after the other', async () => {
  await using api = await openTestApi()
  const { name } = await create(api)
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => publish(api, name, path(String(n)))))
  const sequences = await Promise.all(
    answers.map(async (answer) => Number(((await answer.json()) as NameView).sequence)),
  )
  assert.deepEqual(
    sequences.toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  )
})

test('a conflict tells the present state in the shape of all failures', async () => {
  await using api = await openTestApi()
  const { name } = await create(api, { value: path('first') })
  const response = await publish(api, name, path('second'), '7')
  assert.equal(response.status, 409)
  assert.equal(response.headers.get('etag'), '"1"')
  const body = (await response.json()) as { error: { reason: string; details: string }; current: NameView }
  assert.equal(body.error.reason, 'CONFLICT')
  assert.deepEqual([body.current.sequence, body.current.value], ['1', path('first')])
})

test('what is no content path, and a name that points to itself, is refused', async () => {
  await using api = await openTestApi()
  const { name } = await create(api)
  for (const value of ['nonsense', '/ipfs/', '/ipfs/xyz', 'https://example.com', '/ipfs/../x', `/ipns/${name}`]) {
    const response = await publish(api, name, value)
    assert.equal(response.status, 400, value)
    assert.equal((await failure(response)).reason, 'BAD_REQUEST')
  }
  assert.equal((await publish(api, name, path('x'), 'seven')).status, 400)
})

test('an imported key goes on where its records are, and comes out as it went in', async () => {
  await using api = await openTestApi()
  for (const type of ['ed25519', 'secp256k1', 'rsa'] as const) {
    const key = generateSigningKey(type)
    const body = {
      key: Buffer.from(key.exportSecret()).toString('base64'),
      record: Buffer.from(made(key, { sequence: 41n }).bytes).toString('base64'),
      value: path(type),
    }
    const created = await create(api, body)
    assert.deepEqual([created.name, created.sequence, created.value], [key.name.text, '42', path(type)])
    const out = await api.json<{ key: string }>('POST', `/v1/names/${created.name}:export`)
    assert.equal(importSigningKey(Buffer.from(out.key, 'base64')).name.text, created.name)
  }
  const broken = await api.send('POST', '/v1/names', { body: { key: Buffer.from('no key').toString('base64') } })
  assert.equal(broken.status, 400)
})

test('a client signs by itself; older, foreign, broken, ended and oversized records change nothing', async () => {
  await using api = await openTestApi()
  const key = generateSigningKey()
  const { name, mode } = await create(api, { mode: 'client-signed', name: peerIdOf(key.name), label: 'dapp' })
  assert.deepEqual([name, mode], [key.name.text, 'client-signed'])
  const newest = made(key, { sequence: 5n })
  assert.equal((await put(api, 'dapp', newest.bytes)).status, 200)
  assert.equal((await put(api, 'dapp', newest.bytes)).status, 200, 'the very same record again')

  const older = await put(api, name, made(key, { sequence: 4n }).bytes)
  assert.equal(older.status, 409)
  assert.equal(((await older.json()) as { current: NameView }).current.sequence, '5')
  const damaged = Buffer.from(newest.bytes)
  damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1
  for (const bytes of [
    made(generateSigningKey(), { sequence: 9n }).bytes,
    damaged,
    made(key, { sequence: 9n, validUntilMs: Date.now() - HOUR_MS }).bytes,
    Buffer.from('no record'),
  ]) {
    const response = await put(api, name, bytes)
    assert.equal(response.status, 400)
    assert.equal((await failure(response)).reason, 'INVALID_RECORD')
  }
  assert.equal((await put(api, name, Buffer.alloc(20_000))).status, 413)
  const wrongType = await api.send('PUT', `/v1/names/${name}/records`, {
    body: newest.bytes,
    headers: { 'Content-Type': 'text/plain' },
  })
  assert.equal(wrongType.status, 415)
  assert.deepEqual((await recordOf(api, name)).bytes, newest.bytes)
  assert.equal((await publish(api, name, path('x'))).status, 400, 'its key is not here')
  assert.equal((await api.send('POST', `/v1/names/${name}:export`)).status, 404)
})

test('of equal sequences the later end stays, whichever comes first', async () => {
  await using api = await openTestApi()
  const key = generateSigningKey()
  const { name } = await create(api, { mode: 'watched', name: key.name.text })
  const [sooner, later] = [1, 2].map((hours) =>
    made(key, { sequence: 3n, value: path(String(hours)), validUntilMs: Date.now() + hours * HOUR_MS }),
  ) as [IpnsRecord, IpnsRecord]
  assert.equal((await put(api, name, later.bytes)).status, 200)
  assert.equal((await put(api, name, sooner.bytes)).status, 409)
  assert.deepEqual((await recordOf(api, name)).bytes, later.bytes)
})

test('lower sequences are refused for good: after a name was deleted, and by the database itself', async () => {
  await using api = await openTestApi()
  const key = generateSigningKey()
  const wanted = { mode: 'client-signed', name: key.name.text }
  await create(api, wanted)
  await put(api, key.name.text, made(key, { sequence: 10n }).bytes)
  assert.equal((await api.send('DELETE', `/v1/names/${key.name.text}`)).status, 204)
  assert.equal((await api.send('GET', `/v1/names/${key.name.text}`)).status, 404)
  const again = await create(api, wanted)
  assert.equal(again.sequence, '10')
  assert.equal((await put(api, key.name.text, made(key, { sequence: 9n }).bytes)).status, 409)
  await assert.rejects(api.db.run('update ipns_name set sequence = 9 where name = $1', [key.name.text]), /older record/)
})

test('two accounts may have one name, and see one truth of it, but not each other', async () => {
  await using api = await openTestApi()
  const key = generateSigningKey()
  await create(api, { mode: 'client-signed', name: key.name.text, label: 'mine' })
  await put(api, key.name.text, made(key, { sequence: 1n }).bytes)
  await create(api, { mode: 'watched', name: key.name.text, label: 'mine' }, api.otherToken)
  await put(api, key.name.text, made(key, { sequence: 2n }).bytes)
  const theirs = await api.json<NameView>('GET', '/v1/names/mine', { token: api.otherToken })
  assert.deepEqual([theirs.sequence, theirs.mode], ['2', 'watched'])
  const { records } = await api.json<{ records: unknown[] }>('GET', '/v1/names/mine/records', { token: api.otherToken })
  assert.equal(records.length, 1, 'nothing of the time before it had the name')
  await api.send('DELETE', `/v1/names/${key.name.text}`, { token: api.otherToken })
  assert.equal((await api.json<NameView>('GET', '/v1/names/mine')).sequence, '2')
})

test("another account's name is not found", async () => {
  await using api = await openTestApi()
  const { name } = await create(api, { label: 'secret', value: path('x') })
  const token = api.otherToken
  for (const [method, suffix, body] of [
    ['GET', ''],
    ['PUT', '', { value: path('y') }],
    ['DELETE', ''],
    ['GET', '/records'],
    ['PUT', '/records', 'x'],
    ['POST', ':export'],
  ] as const) {
    for (const shown of [name, 'secret']) {
      const headers: Record<string, string> = suffix === '/records' ? { 'Content-Type': RECORD } : {}
      const response = await api.send(method, `/v1/names/${shown}${suffix}`, { token, body, headers })
      assert.equal(response.status, 404, `${method} ${suffix}`)
    }
  }
  assert.deepEqual((await api.json<{ names: unknown[] }>('GET', '/v1/names', { token })).names, [])
  assert.equal((await api.json<NameView>('GET', `/v1/names/${name}`)).value, path('x'))
})

test('a name or a label that the account has already is a conflict', async () => {
  await using api = await openTestApi()
  const key = generateSigningKey()
  await create(api, { mode: 'watched', name: key.name.text, label: 'taken' })
  for (const body of [{ mode: 'watched', name: key.name.text }, { label: 'taken' }]) {
    const response = await api.send('POST', '/v1/names', { body })
    assert.equal(response.status, 409)
  }
})

test('history keeps the newest hundred', async () => {
  await using api = await openTestApi()
  const { name } = await create(api)
  for (let n = 0; n < 103; n++) await publish(api, name, path(String(n)))
  const { records } = await api.json<{ records: { sequence: string }[] }>('GET', `/v1/names/${name}/records`)
  assert.deepEqual([records.length, records[0]?.sequence, records.at(-1)?.sequence], [100, '103', '4'])
})

test('nothing of a private key stands in the database or in the log', async () => {
  const { log, lines } = memoryLog()
  await using api = await openTestApi({ log })
  const key = generateSigningKey()
  const secret = key.exportSecret()
  await create(api, { key: Buffer.from(secret).toString('base64'), value: path('x') })
  await publish(api, key.name.text, path('y'))
  const seed = Buffer.from(secret).subarray(4, 36)
  const tables = ['name', 'name_key', 'name_record', 'ipns_name', 'tenant_key']
  const dumps = await Promise.all(
    tables.map((table) => api.db.query<{ row: string }>(`select t::text as row from ${table} t`)),
  )
  const written = JSON.stringify(dumps) + JSON.stringify(lines)
  assert.ok(written.includes(key.name.text))
  for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const) {
    assert.equal(written.includes(seed.toString(form)), false, form)
  }
})

test('a sealed key opens neither for another name nor under another account', async () => {
  await using api = await openTestApi()
  const masters = [masterKeyOf(TEST_MASTER_KEY)] as const
  const [one, two] = [await create(api, { label: 'one' }), await create(api, { label: 'two' })]
  await api.db.run(
    `update name_key set sealed = (select sealed from name_key k join name n on n.id = k.name_id where n.name = $1)
      where name_id = (select id from name where name = $2)`,
    [one.name, two.name],
  )
  const response = await publish(api, 'two', path('x'))
  assert.equal(response.status, 500)
  const saved = await getName(api.db, api.tenantId, { label: 'one' })
  assert.ok(saved)
  const foreign = withNameKey(api.db, masters, { tenantId: api.tenantId + 1, nameId: saved.id }, () => 0)
  await assert.rejects(foreign, (error) => hasCode(error, 'NOT_FOUND'))
})

test('a private key is overwritten after use', async () => {
  await using api = await openTestApi()
  const masters = [masterKeyOf(TEST_MASTER_KEY)] as const
  await create(api, { label: 'one' })
  const saved = await getName(api.db, api.tenantId, { label: 'one' })
  assert.ok(saved)
  const lent = await withNameKey(api.db, masters, { tenantId: api.tenantId, nameId: saved.id }, (secret) => {
    assert.ok(secret.some((byte) => byte !== 0))
    return secret
  })
  assert.ok(lent.every((byte) => byte === 0))
})

test('a new master key takes over: keys of accounts are wrapped anew, and the old one can be forgotten', async () => {
  await using api = await openTestApi()
  await create(api, { label: 'one' })
  await create(api, { label: 'two' }, api.otherToken)
  const [next, old] = [masterKeyOf(Buffer.alloc(32, 9)), masterKeyOf(TEST_MASTER_KEY)]
  const saved = await getName(api.db, api.tenantId, { label: 'one' })
  assert.ok(saved)
  const open = (masters: readonly [typeof next, ...(typeof next)[]]): Promise<string> =>
    withNameKey(api.db, masters, { tenantId: api.tenantId, nameId: saved.id }, (key) => importSigningKey(key).name.text)
  await assert.rejects(open([next]), (error) => hasCode(error, 'UNAVAILABLE'))
  assert.equal(await open([next, old]), saved.name)
  const sealed = await api.db.query('select * from name_key order by name_id')
  assert.equal(await rewrapTenantKeys(api.db, [next, old]), 2)
  assert.equal(await rewrapTenantKeys(api.db, [next, old]), 0)
  assert.equal(await open([next]), saved.name)
  assert.deepEqual(
    await api.db.query('select * from name_key order by name_id'),
    sealed,
    'what they seal stays as it is',
  )
})

test('a master key that is none is refused without being shown', async () => {
  const text = Buffer.from('sixteen secret!!').toString('base64')
  await assert.rejects(
    readMasterKeys(text),
    (error: Error) => hasCode(error, 'CONFIG') && !error.message.includes(text),
  )
  assert.equal(
    (await readMasterKeys(`${Buffer.alloc(32, 1).toString('base64')},${Buffer.alloc(32, 2).toString('base64')}`))
      .length,
    2,
  )
})
