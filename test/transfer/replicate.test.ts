import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { chunks, copy, counting, isWhole, lying, Nodes, storeFile } from './nodes.ts'

const MIB = 1_024 * 1_024

test('a file of 64 MiB is copied whole and durable', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(a.store, seededBytes(1, 64 * MIB))
  const told: number[] = []
  const stored = await copy(b, file.cid, ['a'], { onProgress: ({ bytes }) => told.push(bytes) })
  assert.deepEqual(stored, file)
  assert.ok(await isWhole(b.store, file.cid))
  assert.equal(told.at(-1), file.bytes)
  assert.deepEqual([...b.store.manifest(file.cid)], [...a.store.manifest(file.cid)])
})

test('a directory of 5,000 small files is copied', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  await using batch = a.store.openBatch()
  const items = Array.from({ length: 5_000 }, (_, index) => ({
    path: `${index}.json`,
    content: chunks(Buffer.from(`{"token":${index}}`)),
  }))
  const { root, manifest } = await addDirectory(items, batch)
  const directory = await batch.commitRoot(root, manifest)
  assert.deepEqual(await copy(b, root, ['a']), directory)
  assert.ok(await isWhole(b.store, root))
})

test('a root that is held already costs no block', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(a.store, seededBytes(2, 3 * MIB))
  await storeFile(b.store, seededBytes(2, 3 * MIB))
  const { client, bytesFrom } = counting(b.client)
  assert.deepEqual(await copy(b, file.cid, ['a'], { client }), file)
  assert.equal(bytesFrom.get('a') ?? 0, 0)
})

test('a copy that was stopped fetches only the rest when it is repeated', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(a.store, seededBytes(3, 24 * MIB))
  const stop = new AbortController()
  const onProgress = ({ bytes }: { bytes: number }): void => {
    if (bytes >= 8 * MIB) stop.abort()
  }
  await assert.rejects(copy(b, file.cid, ['a'], { signal: stop.signal, onProgress }), { name: 'AbortError' })
  assert.equal(b.store.root(file.cid), undefined)

  const { client, bytesFrom } = counting(b.client)
  assert.deepEqual(await copy(b, file.cid, ['a'], { client }), file)
  const fetched = bytesFrom.get('a') ?? 0
  assert.ok(fetched <= 16 * MIB + 4_096 && fetched > 0, `${fetched} bytes`)
  assert.ok(await isWhole(b.store, file.cid))
})

test('ranges come from all holders, each block once', async () => {
  await using nodes = await Nodes.open()
  const holders = await Promise.all(
    ['a', 'b', 'c'].map((name) => nodes.add(name, { server: { bulkBytesPerSecond: 24 * MIB } })),
  )
  const bytes = seededBytes(4, 96 * MIB)
  const [file] = await Promise.all(holders.map(({ store }) => storeFile(store, bytes)))
  assert.ok(file)
  const d = await nodes.add('d')
  const { client, bytesFrom } = counting(d.client)
  await copy(d, file.cid, ['a', 'b', 'c'], { client })
  for (const { name } of holders) {
    const share = (bytesFrom.get(name) ?? 0) / file.bytes
    assert.ok(share > 0.15, `${name} gave ${share} of the bytes`)
  }
  const total = [...bytesFrom.values()].reduce((sum, bytes) => sum + bytes, 0)
  assert.ok(total <= file.bytes * 1.02, `${total} of ${file.bytes} bytes`)
})

test('the rest of a very slow holder is taken over by the others', async () => {
  await using nodes = await Nodes.open()
  const slow = await nodes.add('slow', { server: { bulkBytesPerSecond: 64 * 1_024 } })
  const fast = await nodes.add('fast')
  const bytes = seededBytes(5, 32 * MIB)
  const file = await storeFile(slow.store, bytes)
  await storeFile(fast.store, bytes)
  const to = await nodes.add('to')
  const { client, bytesFrom } = counting(to.client)
  await copy(to, file.cid, ['slow', 'fast'], { client })
  assert.ok((bytesFrom.get('fast') ?? 0) > file.bytes * 0.8, `${bytesFrom.get('fast')} bytes from the fast one`)
})

test('what one holder lacks comes from another', async () => {
  await using nodes = await Nodes.open()
  const bytes = seededBytes(6, 12 * MIB)
  const lacked = new Set<string>()
  const a = await nodes.add('a', {
    serves: (store) =>
      lying(store, {
        sizeOf: (cid) => (lacked.has(cid.toString()) ? undefined : store.sizeOf(cid)),
        get: async (cid) => (lacked.has(cid.toString()) ? undefined : await store.get(cid)),
      }),
  })
  const b = await nodes.add('b')
  const file = await storeFile(a.store, bytes)
  await storeFile(b.store, bytes)
  for (const { cid } of a.store.manifest(file.cid, 3, 9)) lacked.add(cid.toString())
  const to = await nodes.add('to')
  assert.deepEqual(await copy(to, file.cid, ['a', 'b']), file)
  await assert.rejects(copy(await nodes.add('alone'), file.cid, ['a']), { code: 'BLOCK_MISSING' })
})

test('a DAG larger than is allowed is refused', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(a.store, seededBytes(7, 4 * MIB))
  await assert.rejects(copy(b, file.cid, ['a'], { maxBytes: 3 * MIB }), { code: 'DAG_TOO_LARGE' })
  assert.equal(b.store.root(file.cid), undefined)
})

test('a root that nobody holds, and nodes that are not there, are said to be so', async () => {
  await using nodes = await Nodes.open()
  await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(b.store, seededBytes(8, 100))
  await b.store.releaseRoot(file.cid)
  await assert.rejects(copy(b, file.cid, ['a']), { code: 'UPSTREAM_FAILED' })
  await assert.rejects(copy(b, file.cid, ['nobody']), { code: 'NOT_FOUND' })
  await assert.rejects(copy(b, file.cid, []), { code: 'UPSTREAM_FAILED' })
})
