import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { MAX_DENYLIST_BYTES } from '../../services/catalog/denylists.ts'
import { readGatewayRules, rulesPart } from '../../services/catalog/gateway-rules.ts'
import { sealWith } from '../../services/catalog/sealed-secret.ts'
import { listSigningKeys } from '../../services/catalog/signing-keys.ts'
import type { AccessLine } from '../../services/core/gateway-rules.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { failure } from '../support/web.ts'

const SEAL = sealWith('test')
const cid = rawCid('restricted').toString()

interface Shown {
  hash: string
  bytes: number
  parts: number
  rules: number
  skipped: number
  status: number
}

function putList(api: TestApi, name: string, body: unknown, query = ''): Promise<Shown> {
  return api.json<Shown>('PUT', `/v1/denylists/${name}${query}`, { body, headers: { 'Content-Type': 'text/plain' } })
}

async function access(api: TestApi): Promise<AccessLine[]> {
  const { accessParts } = await readGatewayRules(api.db, SEAL)
  return accessParts.flatMap((part) => part.trim().split('\n')).map((line) => JSON.parse(line) as AccessLine)
}

async function restrictedRoots(api: TestApi): Promise<string[]> {
  return (await access(api)).flatMap((line) => ('root' in line ? [line.root] : []))
}

test('a denylist comes back in parts as it was sent, with its rules counted', async () => {
  await using api = await openTestApi()
  const lines = Array.from({ length: 40_000 }, (_, n) => `//${createHash('sha256').update(String(n)).digest('hex')}`)
  const text = `version: 1\n---\n${lines.join('\n')}\nnot a rule\n`
  const saved = await putList(api, 'badbits', text, '?status=451')
  assert.deepEqual([saved.rules, saved.skipped, saved.status], [40_000, 1, 451])
  assert.equal(saved.hash, createHash('sha256').update(text).digest('hex'))
  assert.ok(saved.parts > 1)
  let read = ''
  for (let part = 0; part < saved.parts; part++) {
    const response = await api.send('GET', `/v1/denylists/badbits/parts/${part}`)
    const piece = await response.text()
    assert.ok(piece.endsWith('\n'))
    read += piece
  }
  assert.equal(read, text)
})

test('a list that is saved again replaces the one before, and one that is deleted is gone', async () => {
  await using api = await openTestApi()
  await putList(api, 'own', `/ipfs/${cid}\n`)
  const second = await putList(api, 'own', `/ipns/bad.example\n`)
  assert.equal((await api.json<{ denylists: Shown[] }>('GET', '/v1/denylists')).denylists[0]?.hash, second.hash)
  assert.equal((await api.send('GET', '/v1/denylists/own/parts/99999999999')).status, 404)
  assert.equal((await api.send('DELETE', '/v1/denylists/own')).status, 204)
  assert.equal((await api.send('DELETE', '/v1/denylists/own')).status, 404)
  assert.deepEqual((await readGatewayRules(api.db, SEAL)).rules.denylists, [])
})

test('what is no denylist is refused, and the list before stays', async () => {
  await using api = await openTestApi()
  const { hash } = await putList(api, 'own', `/ipfs/${cid}\n`)
  const headers = { 'Content-Type': 'text/plain' }
  for (const body of [Buffer.from([0xff, 0xfe]), 'a\0b', 'x'.repeat(2_000_000), 'version: 7\n---\n']) {
    const response = await api.send('PUT', '/v1/denylists/own', { body, headers })
    assert.equal(response.status, 400)
    assert.equal((await failure(response)).reason, 'BAD_REQUEST')
  }
  assert.equal((await api.json<Shown>('GET', '/v1/denylists/own')).hash, hash)
  assert.ok(MAX_DENYLIST_BYTES > 64_000_000)
})

test('one changed list leaves the hashes of the others as they were', async () => {
  await using api = await openTestApi()
  await putList(api, 'large', `/ipfs/${cid}\n`)
  const before = (await readGatewayRules(api.db, SEAL)).rules
  await putList(api, 'small', '/ipns/bad.example\n')
  const after = (await readGatewayRules(api.db, SEAL)).rules
  assert.notEqual(after.version, before.version)
  assert.deepEqual(after.denylists[0], before.denylists[0])
  assert.deepEqual((await readGatewayRules(api.db, SEAL)).rules, after)
})

test('a part of rules that are gone is not found', async () => {
  await using api = await openTestApi()
  const reading = await readGatewayRules(api.db, SEAL)
  assert.equal(await rulesPart(api.db, reading, 'ab'.repeat(32), 0), undefined)
})

test('only a pinned root can be restricted, and by its owner alone', async () => {
  await using api = await openTestApi()
  const rule = { anyOf: [{ token: true }, { allOf: [{ signedUrl: true }, { addresses: ['10.0.0.0/8'] }] }] }
  assert.equal((await api.send('PUT', `/v1/access/${cid}`, { body: rule })).status, 404)
  await api.json('POST', '/psa/pins', { body: { cid } })
  assert.deepEqual((await api.json<{ rule: unknown }>('PUT', `/v1/access/${cid}`, { body: rule })).rule, rule)
  assert.deepEqual(await restrictedRoots(api), [cid])
  assert.equal((await api.send('PUT', `/v1/access/${cid}`, { body: rule, token: api.otherToken })).status, 404)
  assert.equal((await api.send('DELETE', `/v1/access/${cid}`, { token: api.otherToken })).status, 404)
  assert.equal((await api.send('DELETE', `/v1/access/${cid}`)).status, 204)
  assert.deepEqual(await restrictedRoots(api), [])
})

test('rules that are none are refused', async () => {
  await using api = await openTestApi()
  await api.json('POST', '/psa/pins', { body: { cid } })
  const deep = { anyOf: [{ anyOf: [{ anyOf: [{ anyOf: [{ anyOf: [{ token: true }] }] }] }] }] }
  const bad = [{}, { token: false }, { anyOf: [] }, { addresses: ['10.0.0.0/64'] }, { hosts: ['no spaces'] }, deep]
  for (const body of bad) {
    assert.equal((await api.send('PUT', `/v1/access/${cid}`, { body })).status, 400, JSON.stringify(body))
  }
})

test('nobody can restrict what another account has published, and a later pin by CID does not open it', async () => {
  await using api = await openTestApi()
  const [pinned, published] = [cid, rawCid('published').toString()]
  await api.json('POST', '/psa/pins', { body: { cid: published }, token: api.otherToken })
  await api.json('POST', '/psa/pins', { body: { cid: published } })
  await api.json('PUT', `/v1/access/${published}`, { body: { token: true } })
  assert.deepEqual(await restrictedRoots(api), [])
  await api.json('POST', '/psa/pins', { body: { cid: pinned } })
  await api.json('PUT', `/v1/access/${pinned}`, { body: { token: true } })
  await api.json('POST', '/psa/pins', { body: { cid: pinned }, token: api.otherToken })
  assert.deepEqual(await restrictedRoots(api), [pinned])
})

test('the restriction outlives the pin', async () => {
  await using api = await openTestApi()
  const { requestid } = await api.json<{ requestid: string }>('POST', '/psa/pins', { body: { cid } })
  await api.json('PUT', `/v1/access/${cid}`, { body: { token: true } })
  assert.equal((await api.send('DELETE', `/psa/pins/${requestid}`)).status, 202)
  assert.deepEqual(await restrictedRoots(api), [cid])
})

test('tokens with gateway:read go out as hashes, until they are revoked', async () => {
  await using api = await openTestApi()
  await api.json('POST', '/psa/pins', { body: { cid } })
  await api.json('PUT', `/v1/access/${cid}`, { body: { token: true } })
  const { id, token } = await api.json<{ id: string; token: string }>('POST', '/v1/tokens', {
    body: { name: 'reader', scopes: ['gateway:read'] },
  })
  const hash = createHash('sha256').update(token).digest('hex')
  const tokens = async (): Promise<string[]> =>
    (await access(api)).flatMap((line) => ('token' in line ? [line.token] : []))
  assert.ok((await tokens()).includes(hash))
  await api.send('DELETE', `/v1/tokens/${id}`)
  assert.ok(!(await tokens()).includes(hash))
})

test('two signing keys at once, sealed in the database, shown once', async () => {
  await using api = await openTestApi()
  await api.json('POST', '/psa/pins', { body: { cid } })
  await api.json('PUT', `/v1/access/${cid}`, { body: { signedUrl: true } })
  const made = [
    await api.json<{ id: string; key: string }>('POST', '/v1/signing-keys'),
    await api.json<{ id: string; key: string }>('POST', '/v1/signing-keys'),
  ]
  assert.equal((await api.send('POST', '/v1/signing-keys')).status, 409)
  const { rules } = await readGatewayRules(api.db, SEAL)
  assert.deepEqual(
    rules.signingKeys.map(({ key }) => key),
    made.map(({ key }) => key),
  )
  assert.deepEqual((await readGatewayRules(api.db, sealWith('another'))).rules.signingKeys, [])
  const rows = await api.db.query<{ secret: Buffer }>('select secret from signing_key')
  for (const { secret } of rows) {
    assert.ok(made.every(({ key }) => !secret.includes(Buffer.from(key, 'base64url'))))
  }
  assert.equal((await api.send('DELETE', `/v1/signing-keys/${made[0]?.id}`)).status, 204)
  assert.equal((await api.send('DELETE', `/v1/signing-keys/${randomUUID()}`)).status, 404)
  assert.deepEqual(
    (await listSigningKeys(api.db, api.tenantId)).map(({ id }) => id),
    [made[1]?.id],
  )
})
