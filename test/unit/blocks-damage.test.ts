import assert from 'node:assert/strict'
import { appendFile, open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { hasCode } from '../../services/core/errors.ts'
import {
  assertSame,
  holdRoot,
  putAll,
  temporaryFolder,
  testBlock,
  testBlocks,
  type TestBlock,
} from '../support/blocks.ts'

async function segmentPaths(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, 'segments'))
  return names.sort().map((name) => join(folder, 'segments', name))
}

/** Changes one byte of the block on disk. */
async function flipByteOf(folder: string, block: TestBlock): Promise<void> {
  for (const path of await segmentPaths(folder)) {
    await using file = await open(path, 'r+')
    const at = Buffer.from(await file.readFile()).indexOf(block.bytes)
    if (at === -1) continue
    await file.write(Buffer.from([(block.bytes[10] ?? 0) ^ 1]), 0, 1, at + 10)
    return
  }
  throw new Error('the block is in no segment')
}

const isCorrupt = (error: unknown): boolean => hasCode(error, 'CORRUPT_BLOCK')

test('a flipped bit is never served: the block is quarantined, and putting it again heals every root', async () => {
  await using folder = await temporaryFolder()
  await using store = await openBlockStore(folder.path)
  const [first, shared, third] = testBlocks(3) as [TestBlock, TestBlock, TestBlock]
  const rootA = await holdRoot(store, [first, shared])
  const rootB = await holdRoot(store, [third, shared])
  await flipByteOf(folder.path, shared)

  await using reader = await openBlockReader(folder.path)
  await assert.rejects(reader.get(shared.cid), isCorrupt)
  assert.equal(store.has(shared.cid), true)
  await assert.rejects(store.get(shared.cid), isCorrupt)
  assert.equal(store.has(shared.cid), false)
  assert.equal(await store.get(shared.cid), undefined)
  assert.equal(store.space().blocks, 2)
  for (const root of [rootA, rootB]) {
    assert.deepEqual((await store.verifyRoot(root.cid))?.bad.map(String), [shared.cid.toString()])
  }

  await using batch = store.openBatch()
  assert.equal(batch.has(shared.cid), false)
  await batch.put(shared.cid, shared.bytes)
  await batch.flush()
  for (const root of [rootA, rootB]) assert.deepEqual((await store.verifyRoot(root.cid))?.bad, [])
  assertSame(await store.get(shared.cid), shared.bytes)
  await batch[Symbol.asyncDispose]()

  await store.releaseRoot(rootA.cid)
  await store.collect({ graceMs: 0 })
  assert.deepEqual((await store.verifyRoot(rootB.cid))?.bad, [])
  await store.releaseRoot(rootB.cid)
  await store.collect({ graceMs: 0 })
  assert.equal(store.space().blocks, 0)
})

test('roots with a quarantined block are known, also after a restart, until it is put again', async () => {
  await using folder = await temporaryFolder()
  const [first, shared, third] = testBlocks(3) as [TestBlock, TestBlock, TestBlock]
  const whole = testBlocks(5, { from: 100 })
  const told: string[] = []
  {
    await using store = await openBlockStore(folder.path, { onQuarantine: (cid) => told.push(cid.toString()) })
    await holdRoot(store, [first, shared])
    await holdRoot(store, [third, shared])
    await holdRoot(store, whole)
    await flipByteOf(folder.path, shared)
    assert.deepEqual(await store.damagedRoots(), [])
    await assert.rejects(store.get(shared.cid), isCorrupt)
    assert.equal(await store.get(shared.cid), undefined)
    assert.deepEqual(told, [shared.cid.toString()])
  }
  await using store = await openBlockStore(folder.path)
  const damaged = [first, third].map(({ cid }) => cid.toString()).sort()
  assert.deepEqual((await store.damagedRoots()).map(String).sort(), damaged)
  await using batch = store.openBatch()
  await batch.put(shared.cid, shared.bytes)
  await batch.flush()
  assert.deepEqual(await store.damagedRoots(), [])
})

test('verifying a root reports and quarantines its corrupt blocks', async () => {
  await using folder = await temporaryFolder()
  await using store = await openBlockStore(folder.path)
  const blocks = testBlocks(60)
  const root = await holdRoot(store, blocks)
  await flipByteOf(folder.path, blocks[20] as TestBlock)
  await flipByteOf(folder.path, blocks[40] as TestBlock)
  const check = await store.verifyRoot(root.cid)
  assert.deepEqual(check?.bad.map(String).sort(), [blocks[20], blocks[40]].map((block) => String(block?.cid)).sort())
  assert.equal(store.has((blocks[20] as TestBlock).cid), false)
})

test('sections of a corrupt block end with an error before any of its bytes', async () => {
  await using folder = await temporaryFolder()
  await using store = await openBlockStore(folder.path)
  const blocks = testBlocks(20)
  await holdRoot(store, blocks)
  const bad = blocks[12] as TestBlock
  await flipByteOf(folder.path, bad)
  const seen: Uint8Array[] = []
  await assert.rejects(async () => {
    for await (const chunk of store.sections(
      blocks.map(({ cid }) => cid),
      { chunkBytes: 3_000 },
    ))
      seen.push(Buffer.from(chunk))
  }, isCorrupt)
  assert.equal(Buffer.concat(seen).includes(Buffer.from(bad.bytes.subarray(11))), false)
})

test('a segment that is gone or cut short makes its blocks corrupt, not others', async () => {
  await using folder = await temporaryFolder()
  await using store = await openBlockStore(folder.path, { segmentBytes: 5_000 })
  const blocks = testBlocks(30)
  for (const block of blocks) await holdRoot(store, [block])
  const paths = await segmentPaths(folder.path)
  assert.ok(paths.length > 4)
  await store[Symbol.asyncDispose]()
  await rm(paths[0] as string)
  await truncate(paths[1] as string, 1_500)

  await using again = await openBlockStore(folder.path, { segmentBytes: 5_000 })
  const results = await Promise.allSettled(blocks.map(({ cid }) => again.get(cid)))
  const corrupt = results.filter((result) => result.status === 'rejected' && isCorrupt(result.reason)).length
  assert.ok(corrupt >= 5 && corrupt <= 10, `${corrupt} corrupt`)
  await using batch = again.openBatch()
  await putAll(batch, blocks)
  await batch.flush()
  for (const { cid, bytes } of blocks) assertSame(await again.get(cid), bytes)
})

async function reopened(folder: string, check: (store: BlockStore) => Promise<void>): Promise<void> {
  await using store = await openBlockStore(folder)
  await check(store)
}

test('a torn record at the end is cut off, and the next block follows the last whole one', async () => {
  await using folder = await temporaryFolder()
  const kept = testBlocks(5)
  await reopened(folder.path, async (store) => {
    await holdRoot(store, kept)
  })
  const [path] = (await segmentPaths(folder.path)) as [string]
  const { size } = await stat(path)
  await using file = await open(path, 'r')
  const whole = await file.readFile()
  await appendFile(path, whole.subarray(0, 700))
  await reopened(folder.path, async (store) => {
    assert.equal((await stat(path)).size, size)
    await holdRoot(store, testBlocks(5, { from: 100 }))
  })
  await reopened(folder.path, async (store) => {
    for (const block of [...kept, ...testBlocks(5, { from: 100 })]) assertSame(await store.get(block.cid), block.bytes)
  })
  for (const junk of [Buffer.alloc(3_000), Buffer.alloc(3_000, 0xff), Buffer.from('no section at all')]) {
    const before = (await stat(path)).size
    await appendFile(path, junk)
    await reopened(folder.path, async (store) => {
      assert.equal((await stat(path)).size, before)
      assertSame(await store.get((kept[0] as TestBlock).cid), (kept[0] as TestBlock).bytes)
    })
  }
})

test('whole records that were never indexed are found again', async () => {
  await using folder = await temporaryFolder()
  await using other = await temporaryFolder()
  await reopened(folder.path, async (store) => {
    await holdRoot(store, [testBlock(1)])
  })
  await reopened(other.path, async (store) => {
    await holdRoot(store, testBlocks(3, { from: 50 }))
  })
  const [path] = (await segmentPaths(folder.path)) as [string]
  await using file = await open(((await segmentPaths(other.path)) as [string])[0], 'r')
  await appendFile(path, await file.readFile())
  await reopened(folder.path, async (store) => {
    assert.equal(store.space().blocks, 4)
    for (const { cid, bytes } of testBlocks(3, { from: 50 })) assertSame(await store.get(cid), bytes)
  })
})

test('a lost index is made again from the segments', async () => {
  await using folder = await temporaryFolder()
  const blocks = testBlocks(2_500, { length: 200 })
  {
    await using store = await openBlockStore(folder.path, { segmentBytes: 100_000 })
    for (let i = 0; i < blocks.length; i += 500) await holdRoot(store, blocks.slice(i, i + 500))
  }
  await rm(join(folder.path, 'index'), { recursive: true })
  await using store = await openBlockStore(folder.path, { segmentBytes: 100_000 })
  assert.equal(store.space().blocks, 2_500)
  assert.deepEqual([...store.roots()], [])
  const root = await holdRoot(store, blocks)
  assert.deepEqual((await store.verifyRoot(root.cid))?.bad, [])
})
