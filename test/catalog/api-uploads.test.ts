import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { CarWriter } from '@ipld/car'
import { CID } from 'multiformats/cid'
import { setTenantLimits } from '../../services/catalog/tenants.ts'
import { KIB, MIB } from '../../services/core/units.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { openIntakeNode } from '../support/intake-node.ts'
import { addNode } from '../support/node-rows.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { rawCid } from '../support/cids.ts'
import { until } from '../support/until.ts'
import { failure } from '../support/web.ts'

interface Uploaded {
  cid: string
  size: number
  blocks: number
  pin: { requestid: string; status: string; pin: { cid: string; name?: string }; info: Record<string, string> }
}

const BYTES = { 'Content-Type': 'application/octet-stream' }
const CAR = { 'Content-Type': 'application/vnd.ipld.car' }

function upload(api: TestApi, body: unknown, query = '', headers: Record<string, string> = BYTES): Promise<Uploaded> {
  return api.json<Uploaded>('POST', `/v1/uploads${query}`, { body, headers })
}

async function carOf(root: CID, blocks: { cid: CID; bytes: Uint8Array }[]): Promise<Uint8Array> {
  const { writer, out } = CarWriter.create([root])
  const bytes = Array.fromAsync(out)
  for (const block of blocks) await writer.put(block)
  await writer.close()
  return Buffer.concat(await bytes)
}

function rootsOf({ store }: { store: { roots(): Iterable<{ cid: CID }> } }): string[] {
  return [...store.roots()].map(({ cid }) => cid.toString())
}

test('a file goes to a node, and its pin has that first copy', async () => {
  await using api = await openTestApi()
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const bytes = seededBytes(1, 3 * MIB)
  const made = await upload(api, bytes, '?name=three.bin')
  assert.equal(made.size, bytes.length)
  assert.equal(made.blocks, 4)
  assert.equal(made.pin.pin.name, 'three.bin')
  assert.equal(made.pin.pin.cid, made.cid)
  assert.equal(made.pin.info['profile'], 'unixfs-v1-2025')
  assert.deepEqual(rootsOf(node), [made.cid])
  const { replicas } = await api.json<{ replicas: { node: string; state: string; bytes: number }[] }>(
    'GET',
    `/v1/pins/${made.pin.requestid}`,
  )
  assert.deepEqual(
    replicas.map(({ node: name, state }) => [name, state]),
    [['frankfurt-1', 'stored']],
  )
})

test('the same bytes have the CIDs of Kubo, in both profiles', async () => {
  await using api = await openTestApi()
  await using node = await openIntakeNode(api, 'frankfurt-1')
  assert.equal((await upload(api, 'hello world')).cid, 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e')
  assert.equal(
    (await upload(api, 'hello world', '?profile=unixfs-v0-2015')).cid,
    'Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD',
  )
  assert.equal((await upload(api, 'hello world', '', { 'Content-Type': 'text/html; charset=utf-8' })).size, 11)
  const empty = await upload(api, '')
  assert.equal(empty.cid, 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
  assert.ok(rootsOf(node).includes(empty.cid))
})

test('a folder goes as a form whose filenames are paths', async () => {
  await using api = await openTestApi()
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const form = new FormData()
  form.append('file', new Blob(['<h1>hi</h1>']), 'index.html')
  form.append('file', new Blob(['body {}']), 'style%2Fmain.css')
  const made = await upload(api, form, '', {})
  assert.equal(made.size, 18)
  assert.equal(made.blocks, 4)
  assert.deepEqual(rootsOf(node), [made.cid])
})

test('a whole CAR is a first copy; one that lacks blocks is pinned without', async () => {
  await using api = await openTestApi()
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const bytes = Buffer.from('in a CAR')
  const whole = await upload(api, await carOf(rawCid(bytes), [{ cid: rawCid(bytes), bytes }]), '', CAR)
  assert.equal(whole.cid, rawCid(bytes).toString())
  const absent = rawCid('not in the CAR')
  const partial = await upload(api, await carOf(absent, []), '', CAR)
  assert.equal(partial.cid, absent.toString())
  assert.equal(partial.pin.status, 'queued')
  assert.deepEqual(rootsOf(node), [whole.cid])
  const { replicas } = await api.json<{ replicas: unknown[] }>('GET', `/v1/pins/${partial.pin.requestid}`)
  assert.deepEqual(replicas, [])
})

test("what a node refuses is answered with the node's own words, and nothing is pinned", async (t) => {
  await using api = await openTestApi()
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const block = { cid: rawCid('claimed'), bytes: Buffer.from('something else') }
  const large = { cid: rawCid(seededBytes(2, 2 * MIB + 1)), bytes: seededBytes(2, 2 * MIB + 1) }
  const refused: [string, Uint8Array | string, Record<string, string>, number, string][] = [
    ['an empty CAR', '', CAR, 400, 'INVALID_CAR'],
    ['three bytes as a CAR', 'abc', CAR, 400, 'INVALID_CAR'],
    ['a block that does not match', await carOf(block.cid, [block]), CAR, 422, 'HASH_MISMATCH'],
    ['a block over 2 MiB', await carOf(large.cid, [large]), CAR, 413, 'BLOCK_TOO_LARGE'],
    ['a form without a boundary', 'x', { 'Content-Type': 'multipart/form-data' }, 400, 'BAD_REQUEST'],
    [
      'a form that ends early',
      '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx',
      { 'Content-Type': 'multipart/form-data; boundary=b' },
      400,
      'BAD_REQUEST',
    ],
    [
      'a form that leaves its folder',
      '--b\r\nContent-Disposition: form-data; name="file"; filename="../a"\r\n\r\nx\r\n--b--\r\n',
      { 'Content-Type': 'multipart/form-data; boundary=b' },
      400,
      'BAD_REQUEST',
    ],
  ]
  for (const [title, body, headers, status, reason] of refused) {
    await t.test(title, async () => {
      const response = await api.send('POST', '/v1/uploads', { body, headers })
      assert.equal((await failure(response)).reason, reason)
      assert.equal(response.status, status)
    })
  }
  assert.deepEqual(rootsOf(node), [])
  assert.equal((await api.json<{ pins: number }>('GET', '/v1/usage')).pins, 0)
})

test('a large body that the node refuses at its beginning is still answered by the node', async () => {
  await using api = await openTestApi()
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const response = await api.send('POST', '/v1/uploads', { body: seededBytes(3, 8 * MIB), headers: CAR })
  assert.equal((await failure(response)).reason, 'INVALID_CAR')
  assert.deepEqual(rootsOf(node), [])
})

test('what is refused before a byte is read', async (t) => {
  await using api = await openTestApi({ gateLimits: { uploadBytes: 64 * KIB } })
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const refused: [string, string, Record<string, string>, number, string][] = [
    ['a length over the limit', '', BYTES, 413, 'PAYLOAD_TOO_LARGE'],
    ['an unknown policy', '?policy=none-such', BYTES, 400, 'BAD_REQUEST'],
    ['an unknown profile', '?profile=unixfs-v9', BYTES, 400, 'BAD_REQUEST'],
    ['a name that is too long', `?name=${'x'.repeat(256)}`, BYTES, 400, 'BAD_REQUEST'],
    ['a compressed body', '', { ...BYTES, 'Content-Encoding': 'gzip' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ]
  for (const [title, query, headers, status, reason] of refused) {
    await t.test(title, async () => {
      const response = await api.send('POST', `/v1/uploads${query}`, { body: seededBytes(4, 65 * KIB), headers })
      assert.equal((await failure(response)).reason, reason)
      assert.equal(response.status, status)
    })
  }
  assert.deepEqual(rootsOf(node), [])
  await setTenantLimits(api.db, api.tenantId, { maxPins: 0, maxPinBytes: undefined })
  const response = await api.send('POST', '/v1/uploads', { body: 'x', headers: BYTES })
  assert.equal(response.status, 409)
  assert.equal((await failure(response)).reason, 'INSUFFICIENT_FUNDS')
})

test('a body in chunks that grows over the limit is cut off with 413', async () => {
  await using api = await openTestApi({ gateLimits: { uploadBytes: 64 * KIB } })
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const body = ReadableStream.from(Array.from({ length: 40 }, () => seededBytes(5, 16 * KIB)))
  const response = await api.send('POST', '/v1/uploads', { body, headers: BYTES })
  assert.equal(response.status, 413)
  assert.equal((await failure(response)).reason, 'PAYLOAD_TOO_LARGE')
  assert.deepEqual(rootsOf(node), [])
})

test('nodes that cannot be reached, prove another key, or do not know us, are passed over', async () => {
  await using api = await openTestApi()
  await addNode(api.db, { name: 'away-1', region: 'away', transfer: '127.0.0.1:1' })
  const someone = 'A'.repeat(43)
  await using impostor = await openIntakeNode(api, 'impostor-1', { provenKey: someone })
  await using good = await openIntakeNode(api, 'good-1')
  for (const text of ['one', 'two', 'three', 'four']) await upload(api, text)
  assert.equal(rootsOf(good).length, 4)
  assert.deepEqual(rootsOf(impostor), [])
})

test('without a node that can take it an upload is answered 503 with Retry-After', async () => {
  await using api = await openTestApi()
  const none = await api.send('POST', '/v1/uploads', { body: 'x', headers: BYTES })
  assert.equal(none.status, 503)
  const { reason, details } = await failure(none)
  assert.equal(reason, 'NO_NODE_AVAILABLE')
  assert.match(details, /0 of 3 copies have a place\./)
  assert.ok(none.headers.has('retry-after'))
  await using stranger = await openIntakeNode(api, 'stranger-1', { knows: false })
  const strangers = await api.send('POST', '/v1/uploads', { body: 'x', headers: BYTES })
  assert.equal((await failure(strangers)).reason, 'NO_NODE_AVAILABLE')
  assert.deepEqual(rootsOf(stranger), [])
})

test('a client that leaves in the middle leaves nothing behind', async () => {
  await using api = await openTestApi()
  await using node = await openIntakeNode(api, 'frankfurt-1')
  const client = request(`${api.url}/v1/uploads`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${api.token}`, ...BYTES, 'Content-Length': 64 * MIB },
  })
  client.on('error', () => undefined)
  // More than the store gathers before it syncs.
  client.write(seededBytes(6, 48 * MIB))
  await until('bytes at the node', () => node.store.space().blocks > 0 || node.store.space().storedBytes > 0)
  const closed = new Promise((resolve) => client.once('close', resolve))
  client.destroy()
  await closed
  const made = await upload(api, 'afterwards')
  assert.deepEqual(rootsOf(node), [made.cid])
  assert.equal((await api.json<{ pins: number }>('GET', '/v1/usage')).pins, 1)
})
