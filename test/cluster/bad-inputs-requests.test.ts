import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { createServer } from 'node:net'
import { after, before } from 'node:test'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { openDatabase } from '../../services/catalog/database.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { makeToken } from '../../services/catalog/token-text.ts'
import { DAG_PB, LIBP2P_KEY, RAW, SHA1 } from '../../services/core/cid.ts'
import type { Block } from '../../services/dag/fetch-dag.ts'
import { badInput, carOf, pinCount, read, refused, watch, type Watch } from '../support/bad-inputs.ts'
import { Cluster } from '../support/cluster.ts'
import { cidOf } from '../support/dag.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'

/** Texts, tokens and requests. What is wrong can be said before anything is stored. */

let cluster: Cluster
let watched: Watch
/** Another account of the same cluster. */
const otherToken = makeToken()
let replacement: Replacement

before(async () => {
  cluster = await Cluster.start()
  await using db = openDatabase(cluster.ready.database)
  await ensureTenant(db, 'other', otherToken)
  watched = watch(cluster)
  // It takes several tries until it is given up: they are made while the other rows are tested.
  replacement = await replaceByNothing()
})
after(async () => {
  try {
    watched.unharmed()
  } finally {
    await cluster[Symbol.asyncDispose]()
  }
})

const GOOD = 'bafkreidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u'

function post(body: unknown, path = '/psa/pins'): Promise<Response> {
  return cluster.api(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

function withToken(authorization: string | undefined, path = '/psa/pins'): Promise<Response> {
  return fetch(cluster.ready.api + path, { headers: authorization === undefined ? {} : { authorization } })
}

badInput('texts that are no CIDs', async () => {
  const pins = await pinCount(cluster)
  for (const cid of ['', 'Qm', `b${'a'.repeat(100_000)}`, 'bafy\u00e9', `${GOOD}\0`]) {
    assert.equal(await refused(await post({ cid }), 400), 'BAD_REQUEST')
    const { status } = await read(cluster.node(0).gateway, `/ipfs/${encodeURIComponent(cid.slice(0, 8_000))}`)
    assert.ok([400, 404].includes(status), `${status} for ${cid.slice(0, 20)}`)
  }
  assert.equal(await pinCount(cluster), pins)
})

async function uploadCar(root: CID, blocks: Block[]): Promise<Response> {
  return await cluster.api('/v1/uploads', {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.ipld.car' },
    body: await carOf([root], blocks),
  })
}

badInput('hash functions', async () => {
  const pins = await pinCount(cluster)
  const block = (code: number, bytes: number): string =>
    CID.createV1(RAW, createDigest(code, seededBytes(1, bytes))).toString()
  for (const cid of [block(0xd5, 16), block(0x22, 16), block(0x9999, 32)]) {
    assert.equal(await refused(await post({ cid }), 400, /hash function 0x\w+ is not allowed/), 'BAD_REQUEST')
    await refused(await read(cluster.node(0).gateway, `/ipfs/${cid}`), 400, /not allowed/)
  }
  const bytes = seededBytes(1, 100)
  const md5 = CID.createV1(RAW, createDigest(0xd5, new Uint8Array(hash('md5', bytes, 'buffer'))))
  await refused(await uploadCar(md5, [{ cid: md5, bytes }]), 400, /not allowed/)
  assert.equal(await pinCount(cluster), pins)
  const sha1 = CID.createV1(RAW, createDigest(SHA1, new Uint8Array(hash('sha1', bytes, 'buffer'))))
  assert.equal((await uploadCar(sha1, [{ cid: sha1, bytes }])).status, 201)
  assert.deepEqual(Buffer.from(await cluster.read(cluster.node(0), `/ipfs/${sha1.toString()}`)), bytes)
})

badInput('four ways to write one CID', async () => {
  const bytes = seededBytes(2, 600_000)
  const { cid: base32, pin } = await cluster.upload(bytes, '?profile=unixfs-v0-2015')
  const cid = CID.parse(base32)
  const v1 = CID.createV1(DAG_PB, cid.multihash)
  const texts = [cid.toV0().toString(), v1.toString(), v1.toString(base36), v1.toString().toUpperCase()]
  await cluster.json(`/psa/pins/${pin.requestid}`, { method: 'DELETE' }).catch(() => undefined)
  const { bytes: before } = await cluster.json<{ bytes: number }>('/v1/usage')
  const pins = await Promise.all(texts.map((text) => cluster.pin(text)))
  assert.deepEqual(
    pins.map((made) => made.pin.cid),
    texts,
  )
  for (const { requestid } of pins) await cluster.pinned(requestid, 2)
  const { bytes: used } = await cluster.json<{ bytes: number }>('/v1/usage')
  assert.ok(used - before < 2 * bytes.length, `${used - before} bytes for one file`)
  await cluster.api(`/psa/pins/${pins[0]?.requestid}`, { method: 'DELETE' })
  for (const { requestid } of pins.slice(1)) assert.equal((await cluster.details(requestid)).status, 'pinned')
  for (const node of cluster.ready.nodes) {
    for (const text of texts)
      assert.deepEqual(Buffer.from(await cluster.read(node, `/ipfs/${text}`)), Buffer.from(bytes))
  }
})

badInput('the CID of a key', async () => {
  const key = CID.createV1(LIBP2P_KEY, createDigest(0x12, seededBytes(3, 32))).toString()
  assert.equal(await refused(await post({ cid: key }), 400, /CID of a key/), 'BAD_REQUEST')
  await refused(await read(cluster.node(0).gateway, `/ipfs/${key}`), 400)
  const named = await read(cluster.node(0).gateway, `/ipns/${key}`)
  assert.notEqual(named.status, 400, 'as a name it is none that is known, and no mistake')
})

function link(cid: CID): dagPb.PBLink {
  return { Name: '', Tsize: 1, Hash: cid }
}

badInput('nested identity CIDs', async () => {
  let cid: CID = CID.createV1(RAW, createDigest(0, Buffer.from('x')))
  for (let level = 0; level < 50; level++) {
    const node = dagPb.encode({ Data: new UnixFS({ type: 'file', blockSizes: [1n] }).marshal(), Links: [link(cid)] })
    cid = CID.createV1(DAG_PB, createDigest(0, node))
  }
  const text = cid.toString()
  assert.ok(text.length > 1_024)
  assert.equal(await refused(await post({ cid: text }), 400), 'BAD_REQUEST')
  await refused(await read(cluster.node(0).gateway, `/ipfs/${text}`), 400)
})

badInput('bad tokens', async () => {
  const { id, token: revoked } = await cluster.json<{ id: string; token: string }>('/v1/tokens', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'lost', scopes: ['pins:read'] }),
  })
  assert.equal((await withToken(`Bearer ${revoked}`)).status, 200)
  await refused(await withToken(`Bearer ${revoked}`, '/v1/nodes:invite'), 405)
  assert.equal(await refused(await withToken(`Bearer ${revoked}`, '/v1/tokens'), 403, /scope/), 'FORBIDDEN')
  assert.equal((await cluster.api(`/v1/tokens/${id}`, { method: 'DELETE' })).status, 204)
  const { token } = cluster.ready
  const neighbour = token.slice(0, -1) + (token.endsWith('a') ? 'b' : 'a')
  for (const bad of [
    undefined,
    'Bearer',
    'Bearer ',
    `Bearer ${neighbour}`,
    `Basic ${token}`,
    'Bearer purposefullyInvalid',
  ]) {
    assert.equal(await refused(await withToken(bad), 401), 'UNAUTHORIZED')
  }
  await until('the end of the revoked token', async () => (await withToken(`Bearer ${revoked}`)).status === 401)
  const { pin } = await cluster.upload('mine')
  for (const path of [`/psa/pins/${pin.requestid}`, `/v1/pins/${pin.requestid}`]) {
    assert.equal(await refused(await withToken(`Bearer ${otherToken}`, path), 404), 'NOT_FOUND')
  }
  const listed = await withToken(`Bearer ${otherToken}`)
  assert.equal(((await listed.json()) as { count: number }).count, 0)
})

badInput('a flood of bad tokens', async () => {
  const statuses = new Set<number>()
  let slowed: Response | undefined
  for (let attempt = 0; attempt < 100; attempt++) {
    const response = await withToken(`Bearer guess-${attempt}`)
    statuses.add(response.status)
    if (response.status === 429) slowed = response
    else await response.text()
  }
  assert.ok(
    [...statuses].every((status) => status === 401 || status === 429),
    [...statuses].join(),
  )
  assert.ok(slowed, 'nothing was slowed down')
  assert.ok(Number(slowed.headers.get('retry-after')) > 0)
  assert.equal(await refused(slowed, 429), 'TOO_MANY_REQUESTS')
  assert.equal((await withToken(`Bearer ${cluster.ready.token}`)).status, 200, 'who has a token is not kept out')
})

badInput('mass assignment', async () => {
  const body = {
    cid: GOOD,
    tenant_id: 1,
    status: 'pinned',
    created: '2000-01-01T00:00:00Z',
    requestid: 'mine',
    replicas: 1e6,
  }
  const response = await post(body)
  const made = (await response.json()) as { status: string; requestid: string; created: string }
  assert.equal(response.status, 202)
  assert.equal(made.status, 'queued')
  assert.notEqual(made.requestid, 'mine')
  assert.ok(made.created > '2026')
  assert.ok((await cluster.details(made.requestid)).replicas.length <= cluster.ready.nodes.length)
  await cluster.api(`/psa/pins/${made.requestid}`, { method: 'DELETE' })
})

badInput('origins that are not to be dialled', async () => {
  const origins = Array.from(
    { length: 21 },
    (_, index) => `/ip4/1.2.3.4/tcp/${4_000 + index}/p2p/${cluster.node(0).peer}`,
  )
  assert.equal(await refused(await post({ cid: GOOD, origins }), 400, /origins/), 'BAD_REQUEST')
  const dialled: number[] = []
  await using trap = createServer((socket) => {
    dialled.push(socket.remotePort ?? 0)
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => trap.once('listening', resolve))
  const port = (trap.address() as { port: number }).port
  const stranger = '12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust'
  const database = new URL(cluster.ready.database).port
  const harmful = [
    `/ip4/127.0.0.1/tcp/${database}/p2p/${stranger}`,
    `/ip4/127.0.0.1/tcp/${port}`,
    `/ip4/127.0.0.1/tcp/${port}/http/p2p/${stranger}`,
    `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${stranger}`,
    `/dns4/metadata.internal/tcp/80/p2p/${stranger}`,
    `/ip6/::/tcp/${port}/p2p/${stranger}`,
    `/ip4/0.0.0.0/tcp/${port}/p2p/${stranger}`,
    `/ip4/169.254.169.254/tcp/80/p2p/${stranger}`,
    `/unix/tmp%2Fsocket`,
  ]
  const { requestid } = await cluster.pin(cidOf(RAW, seededBytes(4, 100)).toString(), { origins: harmful })
  await until('a node that has looked for it', async () => {
    const { replicas } = await cluster.details(requestid)
    return replicas.some(({ error }) => error !== null && error !== undefined)
  })
  assert.deepEqual(dialled, [])
  await cluster.api(`/psa/pins/${requestid}`, { method: 'DELETE' })
})

interface Replacement {
  /** What the old pin kept. */
  cid: string
  bytes: Uint8Array
  requestid: string
}

/** A pin that was replaced by one whose content nobody has. */
async function replaceByNothing(): Promise<Replacement> {
  const bytes = seededBytes(5, 50_000)
  const { cid, pin } = await cluster.upload(bytes)
  await cluster.pinned(pin.requestid, 2)
  const response = await post({ cid: cidOf(RAW, seededBytes(6, 100)).toString() }, `/psa/pins/${pin.requestid}`)
  assert.equal(response.status, 202)
  assert.equal((await cluster.api(`/psa/pins/${pin.requestid}`)).status, 404)
  const { requestid } = (await response.json()) as { requestid: string }
  return { cid, bytes, requestid }
}

badInput('meta beyond its limits', async () => {
  const pins = await pinCount(cluster)
  const keys = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`key-${index}`, 'x']))
  for (const meta of [keys, { a: { b: 'c' } }, { a: 'x'.repeat(1_000_000) }, { a: 1 }, { a: null }, ['a'], 'a']) {
    assert.equal(await refused(await post({ cid: GOOD, meta }), 400, /meta/), 'BAD_REQUEST')
  }
  assert.equal(await pinCount(cluster), pins)
})

badInput('replacing by what cannot be found', async () => {
  const { cid, bytes, requestid } = replacement
  const isFailed = async (): Promise<boolean> => (await cluster.details(requestid)).status === 'failed'
  await until('the failure of the new pin', isFailed, 90_000)
  for (const node of cluster.ready.nodes) {
    assert.deepEqual(Buffer.from(await cluster.read(node, `/ipfs/${cid}`)), bytes)
  }
})
