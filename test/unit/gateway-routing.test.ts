import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { RAW } from '../../services/core/cid.ts'
import { routeToCluster } from '../../services/gateway/cluster-routing.ts'
import { namesOf } from '../../services/gateway/names.ts'
import { filterPeers } from '../../services/gateway/peer-filters.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { decodeIpnsRecord, type IpnsRecord } from '../../services/naming/ipns-record.ts'
import { NameResolver } from '../../services/naming/name-resolver.ts'
import { askInOrder } from '../../services/naming/record-source.ts'
import type { RecordStore } from '../../services/naming/record-store.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { cidOf, MemoryBlocks } from '../support/dag.ts'
import { eventually } from '../support/eventually.ts'
import { openFixtureGateway, recordFixtures } from '../support/gateway-fixtures.ts'
import { ask, openGateway, type Answered } from '../support/gateway.ts'
import { CONTENT, MemoryRecords } from '../support/naming.ts'
import { sendRaw } from '../support/web.ts'

/** Delegated routing: https://specs.ipfs.tech/routing/http-routing-v1/ */

const OWN = '12D3KooWRBy97UB99e3J6hiPesre1MZeuNQvfan4gBziswrRJsNK'
const OTHER = '12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d'
const HELD = cidOf(RAW, Buffer.from('held by both'))
const RECORD = 'application/vnd.ipfs.ipns-record'
const NAME = 'k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w'

let opened: Awaited<ReturnType<typeof openFixtureGateway>>
before(async () => {
  const nodes = [
    { name: 'other', addresses: [`/ip4/127.0.0.1/tcp/2/p2p/${OTHER}`, `/dns4/other.example/tcp/443/tls/p2p/${OTHER}`] },
    { name: 'own', addresses: [`/ip4/127.0.0.1/tcp/1/p2p/${OWN}`] },
    { name: 'without-peer', addresses: [] },
    { name: 'out-of-reach', addresses: [`/ip4/127.0.0.1/tcp/3/p2p/${NAME}`] },
  ]
  const routing = routeToCluster({
    store: { has: (cid) => cid.equals(HELD) },
    client: {
      has: (node, cids) =>
        node === 'out-of-reach'
          ? Promise.reject(new Error('no answer'))
          : Promise.resolve(cids.map((cid) => cid.equals(HELD))),
    },
    nodes: () => nodes,
    ownName: () => 'own',
  })
  opened = await openFixtureGateway({ routing })
})
after(() => opened[Symbol.asyncDispose]())

function get(path: string, headers: Record<string, string> = {}): Promise<Answered> {
  return ask(opened.gateway.url, `/routing/v1/${path}`, { headers })
}

interface Peers {
  Providers: { Schema: string; ID: string; Addrs: string[]; Protocols: string[] }[]
}

suite('providers', () => {
  test('are the nodes that have the block, the one that is asked first', async () => {
    const { status, headers, body } = await get(`providers/${HELD.toString()}`)
    assert.equal(status, 200)
    assert.equal(headers['content-type'], 'application/json')
    assert.match(headers['cache-control'] ?? '', /^public, max-age=300, stale-while-revalidate=172800/)
    const { Providers: found } = JSON.parse(body.toString()) as Peers
    assert.deepEqual(found[0], {
      Schema: 'peer',
      ID: OWN,
      Addrs: ['/ip4/127.0.0.1/tcp/1'],
      Protocols: ['transport-bitswap'],
    })
    assert.deepEqual(
      found.map(({ ID }) => ID),
      [OWN, OTHER],
    )
  })

  test('of what nobody has are an empty list, kept for a moment', async () => {
    const { status, headers, body } = await get(`providers/${cidOf(RAW, Buffer.from('nobody')).toString()}`)
    assert.equal(status, 200)
    assert.equal(body.toString(), '{"Providers":[]}')
    assert.match(headers['cache-control'] ?? '', /^public, max-age=15,/)
  })

  test('come as lines for who asks for that', async () => {
    const { headers, body } = await get(`providers/${HELD.toString()}`, { accept: 'application/x-ndjson' })
    assert.equal(headers['content-type'], 'application/x-ndjson')
    assert.match(headers.vary ?? '', /Accept/)
    assert.equal(body.toString().trimEnd().split('\n').length, 2)
  })

  test('of no CID are 422', async () => {
    assert.equal((await get('providers/nonsense')).status, 422)
  })

  test('are filtered by address and by protocol', async () => {
    const path = `providers/${HELD.toString()}`
    const ids = async (query: string): Promise<string[]> => {
      const { body } = await get(`${path}?${query}`)
      return (JSON.parse(body.toString()) as Peers).Providers.map(({ ID }) => ID)
    }
    assert.deepEqual(await ids('filter-addrs=tls'), [OTHER])
    assert.deepEqual(await ids('filter-addrs=!ip4'), [OTHER])
    assert.deepEqual(await ids('filter-protocols=transport-ipfs-gateway-http'), [])
    assert.deepEqual(await ids('filter-protocols=transport-bitswap,unknown'), [OWN, OTHER])
  })
})

test('a peer is found in any form of its id', async () => {
  for (const id of [OTHER, 'k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam']) {
    const { body } = await get(`peers/${id}`)
    assert.ok(body.includes(OTHER) && !body.includes(OWN))
  }
  assert.equal((await get('peers/nonsense')).status, 422)
})

suite('a record', () => {
  test('is given as published, with how long it may be kept', async () => {
    const published = (await recordFixtures()).find(({ name }) => name === NAME)?.bytes
    const { status, headers, body } = await get(`ipns/${NAME}`, { accept: RECORD })
    assert.equal(status, 200)
    assert.deepEqual(body, published)
    assert.equal(headers['content-type'], RECORD)
    assert.match(headers['cache-control'] ?? '', /^public, max-age=1800, stale-while-revalidate=\d{7,}/)
    assert.equal((await get(`ipns/${NAME}`, { 'if-none-match': headers.etag ?? '' })).status, 304)
  })

  test('is given as nothing else', async () => {
    assert.equal((await get(`ipns/${NAME}`, { accept: 'application/json' })).status, 406)
  })

  test('that is not known is 404', async () => {
    assert.equal((await get('ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8')).status, 404)
  })

  const put = (name: string, body: Uint8Array, type = RECORD): Promise<Response> =>
    fetch(`${opened.gateway.url}/routing/v1/ipns/${name}`, {
      method: 'PUT',
      headers: { 'content-type': type },
      body: new Uint8Array(body),
    })

  test('is taken under any form of its name, again and again', async () => {
    const { bytes } = (await recordFixtures()).find(({ name }) => name.startsWith('12D3')) ?? { bytes: Buffer.alloc(0) }
    const forms = [OTHER, 'k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam']
    for (const form of forms) assert.equal((await put(form, bytes)).status, 200)
  })

  test('that is not valid, of another name, or no record is refused', async () => {
    const all = await recordFixtures()
    const bytesOf = (part: string): Buffer => all.find(({ file }) => file.includes(part))?.bytes ?? Buffer.alloc(0)
    const nameOf = (part: string): string => all.find(({ file }) => file.includes(part))?.name ?? ''
    for (const part of ['_v1.ipns', 'broken-v1-value', 'broken-signature-v2']) {
      assert.equal((await put(nameOf(part), bytesOf(part))).status, 400, part)
    }
    assert.equal((await put(NAME, bytesOf('12D3'))).status, 400)
    assert.equal((await put(NAME, Buffer.from('nonsense'))).status, 400)
    assert.equal((await put(NAME, Buffer.alloc(20_000))).status, 400)
    assert.equal((await put('nonsense', bytesOf('12D3'))).status, 400)
    assert.equal((await put(NAME, bytesOf('12D3'), 'application/json')).status, 406)
  })

  test('that is refused before it has come is told why, and nothing of it is taken for a request', async () => {
    const smuggled = `GET /routing/v1/ipns/${NAME} HTTP/1.1\r\nHost: x\r\n\r\n`
    const head = `PUT /routing/v1/ipns/${NAME} HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n`
    const answered = await sendRaw(
      Number(new URL(opened.gateway.url).port),
      head + smuggled.repeat(400).slice(0, 40_000),
    )
    assert.match(answered, /^HTTP\/1\.1 400 Bad Request\r\n/)
    assert.match(answered, /at most 10240 bytes/)
    assert.equal(answered.split('HTTP/1.1 ').length, 2)
  })

  test('may be put by pages of other origins', async () => {
    const { headers } = await ask(opened.gateway.url, `/routing/v1/ipns/${NAME}`, { method: 'OPTIONS' })
    assert.match(headers['access-control-allow-methods'] as string, /PUT/)
  })
})

test('a record is looked for again, though one is known, for who asks for no cached one', async () => {
  const key = generateSigningKey()
  const recordOf = (sequence: bigint): IpnsRecord =>
    createIpnsRecord(key, { value: CONTENT, sequence, validUntilMs: Date.now() + 60_000, ttlMs: 60_000 })
  const source = new MemoryRecords([key.name, recordOf(1n)])
  await using resolver = new NameResolver({ records: askInOrder([source]) })
  const names = namesOf({ resolver, store: { get: () => undefined } as unknown as RecordStore })
  const nobody = () => Promise.resolve([])
  await using gateway = await openGateway(new MemoryBlocks(), { names, routing: { providers: nobody, peers: nobody } })
  const sequence = async (headers: Record<string, string> = {}): Promise<bigint> => {
    const { body } = await ask(gateway.url, `/routing/v1/ipns/${key.name.text}`, { headers })
    return decodeIpnsRecord(body).sequence
  }
  assert.equal(await sequence(), 1n)
  source.set(key.name, recordOf(2n))
  assert.equal(await sequence(), 1n)
  await eventually('the newest record', async () => (await sequence({ 'cache-control': 'no-cache' })) === 2n)
})

test('what is no route is 404, and another method 405', async () => {
  for (const path of ['', 'providers', 'providers/', 'dht/closest/peers/x', `providers/${HELD.toString()}/x`]) {
    assert.equal((await get(path)).status, 404, path)
  }
  const { status } = await ask(opened.gateway.url, `/routing/v1/providers/${HELD.toString()}`, { method: 'POST' })
  assert.equal(status, 405)
})

test('peers without addresses or protocols pass only as unknown', () => {
  const peer = { id: OWN, addresses: [], protocols: [] }
  const left = (query: string): number => filterPeers([peer], new URLSearchParams(query)).length
  assert.equal(left(''), 1)
  assert.equal(left('filter-addrs=tcp'), 0)
  assert.equal(left('filter-addrs=tcp,unknown'), 1)
  assert.equal(left('filter-protocols=transport-bitswap'), 0)
  assert.equal(left('filter-protocols=unknown'), 1)
})
