import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Key } from 'interface-datastore'
import { RecordDatastore } from '../../services/swarm/record-datastore.ts'

const VALUE = new Uint8Array([1])

function record(cid: number, peer: string): Key {
  return new Key(`/dht/provider/CID${cid}/${peer}`)
}

async function namesIn(store: RecordDatastore, prefix: string): Promise<string[]> {
  const pairs = await Array.fromAsync(store.query({ prefix }))
  return pairs.map(({ key }) => key.toString())
}

test('the providers of a CID are found, ours among them', async () => {
  const store = new RecordDatastore({ self: 'me', maxRecords: 10 })
  for (const peer of ['me', 'a', 'b']) store.put(record(1, peer), VALUE)
  store.put(record(2, 'a'), VALUE)
  assert.deepEqual(
    await namesIn(store, '/dht/provider/CID1'),
    ['me', 'a', 'b'].map((peer) => `/dht/provider/CID1/${peer}`),
  )
  store.delete(record(1, 'me'))
  store.delete(record(1, 'a'))
  assert.deepEqual(await namesIn(store, '/dht/provider/CID1'), ['/dht/provider/CID1/b'])
  assert.deepEqual(await namesIn(store, '/dht/provider/CID3'), [])
})

test("the DHT's own re-provide scan sees the records of others only", async () => {
  const store = new RecordDatastore({ self: 'me', maxRecords: 10 })
  store.put(record(1, 'me'), VALUE)
  store.put(record(1, 'a'), VALUE)
  assert.deepEqual(await namesIn(store, '/dht/provider'), ['/dht/provider/CID1/a'])
})

test("strangers' records are bounded, the oldest go first, and our own stay", async () => {
  const store = new RecordDatastore({ self: 'me', maxRecords: 100 })
  store.put(new Key('/peers/x'), VALUE)
  for (let cid = 0; cid < 1_000; cid++) store.put(record(cid, 'me'), VALUE)
  for (let cid = 0; cid < 1_000; cid++) store.put(record(cid, 'a'), VALUE)
  for (let name = 0; name < 50; name++) store.put(new Key(`/dht/record/${name}`), VALUE)
  store.put(record(960, 'a'), VALUE)
  store.put(record(1_000, 'a'), VALUE)
  assert.equal(store.size, 100)
  assert.ok(!store.has(record(0, 'a')))
  assert.ok(store.has(record(960, 'a')), 'a record that was put again is young')
  assert.ok(!store.has(record(950, 'a')))
  assert.ok(store.has(record(0, 'me')))
  assert.deepEqual(await namesIn(store, '/peers/'), ['/peers/x'])
})
