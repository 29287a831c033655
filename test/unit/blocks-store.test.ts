import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { DAG_PB, IDENTITY, RAW, SHA2_256 } from '../../services/core/cid.ts'
import { hasCode } from '../../services/core/errors.ts'
import { MAX_BLOCK_BYTES, MAX_CAR_SECTION_BYTES } from '../../services/core/limits.ts'
import { parseSection } from '../../services/blocks/section.ts'
import {
  assertSame,
  blockOf,
  entriesOf,
  holdRoot,
  putAll,
  temporaryFolder,
  temporaryStore,
  testBlock,
  testBlocks,
  type TestBlock,
} from '../support/blocks.ts'

test('a flushed block is had, sized and read, and unflushed blocks are seen by their batch', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const block = testBlock(1)
  await using batch = store.openBatch()
  assert.equal(batch.has(block.cid), false)
  await batch.put(block.cid, block.bytes)
  assert.equal(batch.has(block.cid), true)
  assertSame(await batch.get(block.cid), block.bytes)
  await batch.flush()
  assert.equal(store.has(block.cid), true)
  assert.equal(store.sizeOf(block.cid), block.bytes.length)
  assertSame(await store.get(block.cid), block.bytes)
  assert.equal(store.has(testBlock(2).cid), false)
  assert.equal(await store.get(testBlock(2).cid), undefined)
})

test('what a caller does to its buffer after put does not reach the store', async () => {
  await using opened = await temporaryStore()
  const { cid, bytes } = testBlock(1)
  const lent = new Uint8Array(bytes)
  await using batch = opened.store.openBatch()
  await batch.put(cid, lent)
  lent.fill(0)
  await batch.flush()
  assertSame(await opened.store.get(cid), bytes)
})

test('CIDs of both versions and of any codec name one block', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const { cid, bytes } = testBlock(1)
  const v0 = CID.createV0(Digest.create(SHA2_256, cid.multihash.digest))
  await using batch = store.openBatch()
  await batch.put(v0, bytes)
  await batch.put(cid, bytes)
  await batch.flush()
  assert.equal(store.space().blocks, 1)
  for (const asked of [v0, cid, CID.createV1(DAG_PB, cid.multihash)]) {
    assertSame(await store.get(asked), bytes)
    const section = Buffer.concat(await Array.fromAsync(store.sections([asked])))
    const parsed = parseSection(section, 0)
    assert.ok(parsed !== undefined && parsed !== 'short')
    assert.equal(parsed.cid.toString(), asked.toString())
    assertSame(section.subarray(parsed.headBytes), bytes)
  }
})

test('a root is held with its manifest in the order given, each block once', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(3_000, { length: 60 })
  await using batch = store.openBatch()
  await putAll(batch, blocks)
  const entries = entriesOf(blocks)
  const repeated = [...entries.slice(0, 1_500), ...entries.slice(0, 700), ...entries.slice(1_500)]
  const root = await batch.commitRoot(blocks[0]!.cid, repeated)
  assert.deepEqual({ blocks: root.blocks, bytes: root.bytes }, { blocks: 3_000, bytes: 180_000 })
  assert.deepEqual([...store.manifest(root.cid)].map(String), entries.map(String))
  assert.deepEqual(
    [...store.manifest(root.cid, 1_000, 2_100)].map(({ cid }) => cid.toString()),
    entries.slice(1_000, 2_100).map(({ cid }) => cid.toString()),
  )
  assert.deepEqual([...store.manifest(testBlock(9_999).cid)], [])
})

test('committing a held root again changes nothing, also from two batches at once', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(2_500, { length: 50 })
  const [first, second] = await Promise.all([holdRoot(store, blocks), holdRoot(store, blocks)])
  assert.deepEqual(first, second)
  assert.deepEqual(await holdRoot(store, blocks), first)
  assert.equal(await store.releaseRoot(first.cid), true)
  assert.equal(await store.releaseRoot(first.cid), false)
  assert.equal(store.root(first.cid), undefined)
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 2_500)
})

test('a root with a missing block is refused whole', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(2_500, { length: 50 })
  await using batch = store.openBatch()
  await putAll(batch, blocks)
  const entries = [...entriesOf(blocks), { cid: testBlock(77_777).cid, length: 1_000 }]
  await assert.rejects(batch.commitRoot(blocks[0]!.cid, entries), (error) => hasCode(error, 'BLOCK_MISSING'))
  assert.equal(store.root(blocks[0]!.cid), undefined)
  await batch[Symbol.asyncDispose]()
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 2_500)
})

test('a commit whose entries fail to come is undone', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(4_000, { length: 50 })
  await using batch = store.openBatch()
  await putAll(batch, blocks)
  async function* failing() {
    yield* entriesOf(blocks)
    throw new Error('the source is gone')
  }
  await assert.rejects(batch.commitRoot(blocks[0]!.cid, failing()), /the source is gone/)
  await batch[Symbol.asyncDispose]()
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 4_000)
})

test('identity CIDs need no storage', async () => {
  await using opened = await temporaryStore()
  const inline = CID.createV1(RAW, Digest.create(IDENTITY, Buffer.from('inline')))
  const block = testBlock(1)
  await using batch = opened.store.openBatch()
  await batch.put(inline, Buffer.from('inline'))
  await batch.put(block.cid, block.bytes)
  const root = await batch.commitRoot(block.cid, [...entriesOf([block]), { cid: inline, length: 6 }])
  assert.equal(root.blocks, 1)
  assert.equal(opened.store.space().blocks, 1)
})

test('blocks of every size up to the limit are kept, larger ones refused', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  await using batch = store.openBatch()
  for (const length of [0, 1, 127, 128, 16_384, MAX_BLOCK_BYTES]) {
    const block = testBlock(length, length)
    await batch.put(block.cid, block.bytes)
    await batch.flush()
    assertSame(await store.get(block.cid), block.bytes)
  }
  const large = testBlock(1, MAX_BLOCK_BYTES + 1)
  await assert.rejects(batch.put(large.cid, large.bytes), (error) => hasCode(error, 'BLOCK_TOO_LARGE'))
})

test('roots are listed in the order of their CIDs, from where a caller left off', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const roots = []
  for (let seed = 0; seed < 600; seed += 1) roots.push(holdRoot(store, [testBlock(seed, 100)]))
  const expected = (await Promise.all(roots)).map(({ cid }) => cid).sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  assert.deepEqual(
    [...store.roots()].map(({ cid }) => cid.toString()),
    expected.map(String),
  )
  assert.deepEqual(
    [...store.roots(expected[298])].map(({ cid }) => cid.toString()),
    expected.slice(299).map(String),
  )
})

test('sections come in the order asked for, in chunks of about the size asked for', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(400, { length: 5_000 })
  await holdRoot(store, blocks)
  const asked = [...blocks.slice(100), ...blocks.slice(0, 100).toReversed(), blocks[7]!]
  const chunks = await Array.fromAsync(
    store.sections(
      asked.map(({ cid }) => cid),
      { chunkBytes: 100_000 },
    ),
    (chunk) => Buffer.from(chunk),
  )
  for (const chunk of chunks) assert.ok(chunk.length <= 110_000 && chunk.length <= MAX_CAR_SECTION_BYTES)
  const car = Buffer.concat(chunks)
  let at = 0
  for (const { cid, bytes } of asked) {
    const section = parseSection(car, at)
    assert.ok(section !== undefined && section !== 'short')
    assert.equal(section.cid.toString(), cid.toString())
    assertSame(car.subarray(at + section.headBytes, at + section.headBytes + section.length), bytes)
    at += section.headBytes + section.length
  }
  assert.equal(at, car.length)
})

test('sections end with an error at a block that is missing, after those before it', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(10, { length: 1_000 })
  await holdRoot(store, blocks)
  const seen: Uint8Array[] = []
  const asked = [...blocks, testBlock(999)].map(({ cid }) => cid)
  await assert.rejects(
    async () => {
      for await (const chunk of store.sections(asked, { chunkBytes: 4_000 })) seen.push(chunk)
    },
    (error) => hasCode(error, 'BLOCK_MISSING'),
  )
  assert.ok(seen.length > 0)
})

test('sections stop when they are aborted', async () => {
  await using opened = await temporaryStore()
  const blocks = testBlocks(50, { length: 1_000 })
  await holdRoot(opened.store, blocks)
  const aborter = new AbortController()
  const sections = opened.store.sections(
    blocks.map(({ cid }) => cid),
    { chunkBytes: 2_000, signal: aborter.signal },
  )
  await assert.rejects(async () => {
    for await (const chunk of sections) if (chunk.length > 0) aborter.abort()
  }, /abort/i)
})

test('a folder has one writer', async () => {
  await using folder = await temporaryFolder()
  const store = await openBlockStore(folder.path)
  await assert.rejects(openBlockStore(folder.path), (error) => hasCode(error, 'CONFLICT'))
  await store[Symbol.asyncDispose]()
  await using again = await openBlockStore(folder.path)
  assert.equal(again.space().blocks, 0)
})

test('a reader opened in the same process sees what is written', async () => {
  await using opened = await temporaryStore()
  await using reader = await openBlockReader(opened.folder)
  const root = await holdRoot(opened.store, testBlocks(5))
  assert.deepEqual(reader.root(root.cid), root)
  assert.equal((await reader.get(root.cid))?.length, 1_000)
})

test('a reader needs a store', async () => {
  await using folder = await temporaryFolder()
  await assert.rejects(openBlockReader(folder.path), (error) => hasCode(error, 'UNAVAILABLE'))
})

test('everything is there after the store was closed and opened', async () => {
  await using folder = await temporaryFolder()
  const blocks = testBlocks(1_500, { length: 300 })
  {
    await using store = await openBlockStore(folder.path, { segmentBytes: 100_000 })
    await holdRoot(store, blocks)
  }
  await using store = await openBlockStore(folder.path, { segmentBytes: 100_000 })
  assert.equal(store.space().blocks, 1_500)
  const check = await store.verifyRoot(blocks[0]!.cid)
  assert.deepEqual(check, { blocks: 1_500, bytes: 450_000, bad: [] })
  await assert.rejects(async () => {
    const batch = store.openBatch()
    await batch[Symbol.asyncDispose]()
    await batch.put(blocks[0]!.cid, blocks[0]!.bytes)
  })
})

test('verifying tells its progress and can be aborted', async () => {
  await using opened = await temporaryStore()
  const blocks = testBlocks(40, { length: 100_000 })
  const root = await holdRoot(opened.store, blocks)
  const progress: number[] = []
  await opened.store.verifyRoot(root.cid, { onProgress: (bytes) => progress.push(bytes) })
  assert.ok(progress.length > 1)
  assert.equal(progress.at(-1), 4_000_000)
  const signal = AbortSignal.abort()
  await assert.rejects(opened.store.verifyRoot(root.cid, { signal }), /abort/i)
  assert.equal(await opened.store.verifyRoot(testBlock(9_999).cid), undefined)
})

test('a closed store takes no more writes, and its folder is free', async () => {
  await using folder = await temporaryFolder()
  const store = await openBlockStore(folder.path)
  const batch = store.openBatch()
  const [first, second] = testBlocks(2) as [TestBlock, TestBlock]
  await batch.put(first.cid, first.bytes)
  await store[Symbol.asyncDispose]()
  await assert.rejects(batch.put(second.cid, second.bytes), (error) => hasCode(error, 'UNAVAILABLE'))
  assert.throws(
    () => store.openBatch(),
    (error) => hasCode(error, 'UNAVAILABLE'),
  )
  await using again = await openBlockStore(folder.path)
  assertSame(await again.get(first.cid), first.bytes)
})

test('many blocks at once wait for the disk instead of filling the memory', async () => {
  await using opened = await temporaryStore()
  await using batch = opened.store.openBatch()
  const before = process.memoryUsage().arrayBuffers
  const shared = new Uint8Array(MAX_BLOCK_BYTES)
  let highest = 0
  for (let i = 0; i < 150; i += 1) {
    new DataView(shared.buffer).setUint32(0, i)
    const { cid, bytes } = blockOf(shared)
    await batch.put(cid, bytes)
    highest = Math.max(highest, process.memoryUsage().arrayBuffers - before)
  }
  await batch.flush()
  assert.equal(opened.store.space().blocks, 150)
  assert.ok(highest < 40 * 1_048_576, `${highest} bytes`)
})

test('many writers that wait for room at once all get room of their own', async () => {
  await using opened = await temporaryStore()
  const blocks = testBlocks(120, { length: 700_000 })
  await using batch = opened.store.openBatch()
  await Promise.all(blocks.map(({ cid, bytes }) => batch.put(cid, bytes)))
  await batch.flush()
  for (const { cid, bytes } of blocks) assertSame(await opened.store.get(cid), bytes)
})
