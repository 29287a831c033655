import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { IndexWriter } from '../../services/blocks/index-writer.ts'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import type { ManifestEntry } from '../../services/core/block-source.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import {
  assertSame,
  entriesOf,
  holdRoot,
  putAll,
  temporaryFolder,
  temporaryStore,
  testBlock,
  testBlocks,
  type TestBlock,
} from '../support/blocks.ts'

async function segmentBytes(folder: string): Promise<number> {
  const path = join(folder, 'segments')
  const sizes = await Promise.all((await readdir(path)).map(async (name) => (await stat(join(path, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

test('blocks that two roots share survive the release of one', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const shared = testBlocks(50)
  const a = await holdRoot(store, [testBlock(1_000), ...shared])
  const b = await holdRoot(store, [testBlock(2_000), ...shared])
  await store.releaseRoot(a.cid)
  assert.deepEqual(await store.collect({ graceMs: 0 }), { blocks: 1, bytes: 1_000 })
  assert.deepEqual((await store.verifyRoot(b.cid))?.bad, [])
  await store.releaseRoot(b.cid)
  assert.deepEqual(await store.collect({ graceMs: 0 }), { blocks: 51, bytes: 51_000 })
  assert.equal(store.space().storedBytes, 0)
  assert.equal(await segmentBytes(opened.folder), 0)
})

test('what an open batch put, or asked for, is not collected', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const [old, fresh, other] = testBlocks(3) as [TestBlock, TestBlock, TestBlock]
  await using first = store.openBatch()
  await putAll(first, [old, other])
  await first[Symbol.asyncDispose]()
  // The store's clock has milliseconds: the second batch is to be younger than the blocks.
  const started = performance.now()
  while (performance.now() < started + 3) await new Promise((resolve) => setImmediate(resolve))
  await using batch = store.openBatch()
  assert.equal(batch.has(old.cid), true)
  await batch.put(fresh.cid, fresh.bytes)
  const collecting = store.collect({ graceMs: 0 })
  await batch.flush()
  assert.equal((await collecting).blocks, 1)
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 0)
  assert.deepEqual(
    [old, fresh, other].map(({ cid }) => store.has(cid)),
    [true, true, false],
  )
  const root = await batch.commitRoot(fresh.cid, entriesOf([fresh, old]))
  await batch[Symbol.asyncDispose]()
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 0)
  assert.deepEqual((await store.verifyRoot(root.cid))?.bad, [])
})

test('uncounted blocks stay for the grace time, also across a restart and whatever the wall clock says', async (t) => {
  await using folder = await temporaryFolder()
  const blocks = testBlocks(5)
  {
    await using store = await openBlockStore(folder.path)
    await using batch = store.openBatch()
    await putAll(batch, blocks)
  }
  t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2099-01-01') })
  await using store = await openBlockStore(folder.path)
  assert.equal((await store.collect({ graceMs: 3_600_000 })).blocks, 0)
  t.mock.timers.setTime(0)
  assert.equal((await store.collect({ graceMs: 3_600_000 })).blocks, 0)
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 5)
})

test('a release starts the grace time of blocks that nothing else counts', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const root = await holdRoot(store, testBlocks(5))
  await store.releaseRoot(root.cid)
  assert.equal((await store.collect({ graceMs: 3_600_000 })).blocks, 0)
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 5)
})

test('half-dead segments are compacted while readers of both processes go on', async () => {
  await using folder = await temporaryFolder()
  await using store = await openBlockStore(folder.path, { segmentBytes: 300_000 })
  const blocks = testBlocks(2_000)
  const kept = blocks.filter((_, i) => i % 5 === 0)
  const dropped = blocks.filter((_, i) => i % 5 !== 0)
  // Interleaved on disk, so that every segment keeps some.
  for (let i = 0; i < blocks.length; i += 250) {
    await using batch = store.openBatch()
    await putAll(batch, blocks.slice(i, i + 250))
  }
  const keptRoot = await holdRoot(store, kept)
  const droppedRoot = await holdRoot(store, dropped)
  const before = await segmentBytes(folder.path)

  const child = fork(join(import.meta.dirname, '../support/blocks-read-loop.ts'), [folder.path, '0', '2000', '5'])
  const [ready] = (await once(child, 'message')) as [string]
  assert.equal(ready, 'reading')
  await using reader = await openBlockReader(folder.path)
  const stop = new AbortController()
  const reads = (async () => {
    while (!stop.signal.aborted) for (const { cid, bytes } of kept) assertSame(await reader.get(cid), bytes)
  })()
  await store.releaseRoot(droppedRoot.cid)
  assert.equal((await store.collect({ graceMs: 0 })).blocks, dropped.length)
  await store.collect({ graceMs: 0 })
  stop.abort()
  await reads
  child.send('stop')
  const [outcome] = (await once(child, 'message')) as [string]
  assert.equal(outcome, 'ok')
  await once(child, 'exit')

  assert.ok((await segmentBytes(folder.path)) < before * 0.45)
  assert.equal(store.space().blocks, kept.length)
  assert.deepEqual((await store.verifyRoot(keptRoot.cid))?.bad, [])
  await store[Symbol.asyncDispose]()
  await using again = await openBlockStore(folder.path)
  assert.deepEqual((await again.verifyRoot(keptRoot.cid))?.bad, [])
})

test('a block that is put again while it is collected is there afterwards', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(3_000, { length: 100 })
  await holdRoot(store, blocks)
  await store.releaseRoot((blocks[0] as TestBlock).cid)
  const collecting = store.collect({ graceMs: 0 })
  const committed = await holdRoot(store, blocks)
  await collecting
  await store.collect({ graceMs: 0 })
  assert.deepEqual((await store.verifyRoot(committed.cid))?.bad, [])
})

test('blocks that are written while segments are given back are all there', async () => {
  await using opened = await temporaryStore({ segmentBytes: 40_000 })
  const { store } = opened
  const kept: TestBlock[] = []
  const stop = new AbortController()
  const collecting = (async () => {
    while (!stop.signal.aborted) await store.collect({ graceMs: 0 })
  })()
  const writing = Array.from({ length: 4 }, async (_, writer) => {
    for (let round = 0; round < 30; round += 1) {
      const blocks = testBlocks(12, { from: (writer * 30 + round) * 12 })
      const root = await holdRoot(store, blocks)
      if (round % 3 > 0) await store.releaseRoot(root.cid)
      else kept.push(...blocks)
    }
  })
  await Promise.all(writing)
  stop.abort()
  await collecting
  await store.collect({ graceMs: 0 })
  for (const { cid, bytes } of kept) assertSame(await store.get(cid), bytes)
  assert.equal(store.space().blocks, kept.length)
  assert.ok((await segmentBytes(opened.folder)) < 3 * store.space().storedBytes)
})

test('space is given back while blocks are written without a pause', async () => {
  await using opened = await temporaryStore({ segmentBytes: 40_000 })
  const { store } = opened
  {
    await using batch = store.openBatch()
    await putAll(batch, testBlocks(200, { from: 1_000_000 }))
  }
  const stop = new AbortController()
  const writing = Array.from({ length: 3 }, async (_, writer) => {
    await using batch = store.openBatch()
    for (let n = 0; !stop.signal.aborted; n += 1) {
      const { cid, bytes } = testBlock(writer * 100_000 + n, 100_000)
      await batch.put(cid, bytes)
      if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 0))
    }
  })
  const deadline = AbortSignal.timeout(20_000)
  const late = new Promise((resolve) => deadline.addEventListener('abort', () => resolve('never')))
  const collected = await Promise.race([store.collect({ graceMs: 0 }), late])
  stop.abort()
  await Promise.all(writing)
  assert.deepEqual(collected, { blocks: 200, bytes: 200_000 })
})

test('what a release that failed halfway left counted is given back once the disk works again', async (t) => {
  await using opened = await temporaryStore({ probeMs: 10 })
  const { store } = opened
  const { cid } = await holdRoot(store, testBlocks(3_000))
  const writes = t.mock.method(IndexWriter.prototype, 'write')
  // By then the root is forgotten, and one of its three chunks is counted down.
  writes.mock.mockImplementationOnce(() => Promise.reject(new HoldfastError('STORAGE_FULL', 'The disk is full.')), 2)
  await assert.rejects(store.releaseRoot(cid), { code: 'STORAGE_FULL' })
  writes.mock.restore()
  assert.equal(await store.releaseRoot(cid), false)
  assert.equal((await store.collect({ graceMs: 0 })).blocks, 3_000)
})

test('a root that is being committed keeps its counts while space is given back', async () => {
  await using opened = await temporaryStore()
  const { store } = opened
  const blocks = testBlocks(3_000)
  await using batch = store.openBatch()
  await putAll(batch, blocks)
  async function* entries(): AsyncGenerator<ManifestEntry> {
    for (const [n, entry] of entriesOf(blocks).entries()) {
      if (n % 1_024 === 1) await store.collect({ graceMs: 0 })
      yield entry
    }
  }
  const root = await batch.commitRoot(blocks[0]?.cid as CID, entries())
  assert.equal(root.blocks, 3_000)
  assert.ok(blocks.every((block) => store.countOf(block.cid) === 1))
  assert.deepEqual([...store.manifest(root.cid)].length, 3_000)
})

test('collection can be aborted', async () => {
  await using opened = await temporaryStore()
  await assert.rejects(opened.store.collect({ graceMs: 0, signal: AbortSignal.abort() }), /abort/i)
})
