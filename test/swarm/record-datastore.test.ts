import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Key } from 'interface-datastore'
import { base32 } from 'multiformats/bases/base32'
import { RecordDatastore } from '../../services/swarm/record-datastore.ts'
import { failsWith } from '../support/dag.ts'

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

/** A value of the DHT whose first byte is its age. */
function valueOf(age: number, length = 1): Uint8Array {
  return new Uint8Array(length).fill(age)
}

const VALUE_KEY = new Key(`/dht/record/${base32.baseEncode(Buffer.from('/ipns/x'))}`, false)

function valueStore(more: Partial<ConstructorParameters<typeof RecordDatastore>[0]> = {}): RecordDatastore {
  const isOlder = (next: Uint8Array, known: Uint8Array): boolean => (next[0] ?? 0) < (known[0] ?? 0)
  return new RecordDatastore({ self: 'me', maxRecords: 1_000, isOlder, ...more })
}

test('an older value does not take the place of a newer one, an equal one does', async () => {
  const store = valueStore()
  store.put(VALUE_KEY, valueOf(5))
  assert.throws(() => store.put(VALUE_KEY, valueOf(4)), failsWith('CONFLICT'))
  store.put(VALUE_KEY, valueOf(5, 2))
  assert.deepEqual(await store.get(VALUE_KEY), valueOf(5, 2))
  store.put(VALUE_KEY, valueOf(6))
  assert.deepEqual(await store.get(VALUE_KEY), valueOf(6))
})

test('values are bounded by their bytes, and the oldest go', () => {
  const store = valueStore({ maxValueBytes: 1_000 })
  for (let name = 0; name < 100; name++) store.put(new Key(`/dht/record/${name}`), valueOf(1, 100))
  assert.equal(store.size, 10)
  assert.ok(store.has(new Key('/dht/record/99')))
  for (let time = 0; time < 100; time++) store.put(new Key('/dht/record/99'), valueOf(2 + time, 100))
  assert.equal(store.size, 10, 'one that is put again counts once')
  for (let name = 0; name < 10; name++) store.delete(new Key(`/dht/record/${90 + name}`))
  for (let name = 0; name < 10; name++) store.put(new Key(`/dht/record/${name}`), valueOf(1, 100))
  assert.equal(store.size, 10, 'what was deleted counts no more')
})

test('what the machine has itself is answered when it is newer than what others stored, or all there is', async () => {
  const asked: string[] = []
  let own: Uint8Array | undefined
  const store = valueStore({
    stored: (key) => {
      asked.push(Buffer.from(key).toString())
      return Promise.resolve(own)
    },
  })
  await assert.rejects(async () => await store.get(VALUE_KEY), { name: 'NotFoundError' })
  own = valueOf(3)
  assert.deepEqual(await store.get(VALUE_KEY), own)
  store.put(VALUE_KEY, valueOf(5))
  assert.deepEqual(await store.get(VALUE_KEY), valueOf(5))
  own = valueOf(6)
  assert.deepEqual(await store.get(VALUE_KEY), own)
  assert.deepEqual(new Set(asked), new Set(['/ipns/x']))
})
