import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openBlockStore } from '../../services/blocks/store.ts'
import { hasCode } from '../../services/core/errors.ts'
import { HOUR_MS, MIB } from '../../services/core/units.ts'
import { assertSame, holdRoot, putAll, temporaryFolder, testBlock, testBlocks } from '../support/blocks.ts'
import { eventually } from '../support/eventually.ts'

/** A small file system of its own; undefined, said aloud, where this user may not mount one. */
async function smallDisk(t: TestContext, sizeMib: number): Promise<({ path: string } & AsyncDisposable) | undefined> {
  const folder = await temporaryFolder()
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', folder.path])
  if (mount.status !== 0) {
    await folder[Symbol.asyncDispose]()
    t.skip(`a small file system cannot be mounted here: ${mount.error?.message ?? mount.stderr.toString()}`)
    return undefined
  }
  return {
    path: folder.path,
    [Symbol.asyncDispose]: async () => {
      const unmount = spawnSync('umount', [folder.path])
      assert.equal(unmount.status, 0, unmount.stderr?.toString())
      await folder[Symbol.asyncDispose]()
    },
  }
}

/**
 * A file system that takes more than its disk can hold: writes reach the page cache, and only the sync fails. Undefined,
 * said aloud, where this user may not mount one.
 */
async function lyingDisk(t: TestContext): Promise<({ path: string } & AsyncDisposable) | undefined> {
  await using opened = new AsyncDisposableStack()
  const below = opened.use(await smallDisk(t, 24))
  if (below === undefined) return undefined
  const image = join(below.path, 'image')
  const folder = opened.use(await temporaryFolder())
  const steps = [
    ['truncate', '-s', '160M', image],
    ['mkfs.ext4', '-q', '-F', '-O', '^has_journal', image],
    ['mount', '-o', 'loop,errors=continue', image, folder.path],
  ] as const
  for (const [command, ...args] of steps) {
    const { status, error, stderr } = spawnSync(command, args)
    if (status === 0) continue
    t.skip(`${command} cannot be run here: ${error?.message ?? stderr.toString()}`)
    return undefined
  }
  opened.defer(() => {
    const unmount = spawnSync('umount', [folder.path])
    assert.equal(unmount.status, 0, unmount.stderr.toString())
  })
  const owned = opened.move()
  return { path: folder.path, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const isFull = (error: unknown): boolean => hasCode(error, 'STORAGE_FULL', 'STORAGE_FAILED')

async function fillUp(path: string): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path))
  await writeFile(path, Buffer.alloc(bavail * bsize)).catch(() => undefined)
}

test('a full disk refuses writes, reads go on, and the store recovers by itself', async (t) => {
  await using disk = await smallDisk(t, 32)
  if (disk === undefined) return
  const ballast = join(disk.path, 'ballast')
  await using store = await openBlockStore(join(disk.path, 'store'), { reserveBytes: 0, probeMs: 20 })
  const kept = testBlocks(20, { length: 100_000 })
  const root = await holdRoot(store, kept)
  await using batch = store.openBatch()
  await fillUp(ballast)

  const late = testBlocks(40, { from: 1_000, length: 1 * MIB })
  await assert.rejects(async () => {
    await putAll(batch, late)
    await batch.flush()
  }, isFull)
  await assert.rejects(batch.flush(), isFull)
  assert.throws(() => store.openBatch(), isFull)
  assert.match(store.space().refusal ?? '', /full|write/)
  assert.deepEqual((await store.verifyRoot(root.cid))?.bad, [])
  for (const { cid, bytes } of kept) assertSame(await store.get(cid), bytes)

  await rm(ballast)
  const after = testBlocks(10, { from: 5_000, length: 100_000 })
  await using recovered = await eventually('the store takes writes again', () => {
    try {
      return store.openBatch()
    } catch {
      return undefined
    }
  })
  assert.equal(store.space().refusal, undefined)
  await putAll(recovered, after)
  await recovered.flush()
  for (const { cid, bytes } of [...kept, ...after]) assertSame(await store.get(cid), bytes)
  await batch[Symbol.asyncDispose]()
  await recovered[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await using again = await openBlockStore(join(disk.path, 'store'), { reserveBytes: 0 })
  assert.deepEqual((await again.verifyRoot(root.cid))?.bad, [])
  for (const { cid, bytes } of after) assertSame(await again.get(cid), bytes)
})

test('a disk that is full for the index alone fails the write, and no root is half held', async (t) => {
  await using disk = await smallDisk(t, 32)
  if (disk === undefined) return
  const ballast = join(disk.path, 'ballast')
  await using store = await openBlockStore(join(disk.path, 'store'), { reserveBytes: 0, probeMs: 20 })
  const blocks = testBlocks(5_000, { length: 60 })
  await using batch = store.openBatch()
  await putAll(batch, blocks)
  await batch.flush()
  await fillUp(ballast)
  const entries = blocks.map(({ cid }) => ({ cid, length: 60 }))
  await assert.rejects(batch.commitRoot(testBlock(0, 60).cid, entries), isFull)
  assert.equal(store.root(testBlock(0, 60).cid), undefined)
  await rm(ballast)
  const root = await eventually('the root can be committed', () =>
    holdRoot(store, blocks).catch((error: unknown) => {
      if (!isFull(error)) throw error
      return undefined
    }),
  )
  assert.equal(root.blocks, 5_000)
  await batch[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await using again = await openBlockStore(join(disk.path, 'store'), { reserveBytes: 0 })
  await again.releaseRoot(root.cid)
  await again[Symbol.asyncDispose]()
  await using last = await openBlockStore(join(disk.path, 'store'), { reserveBytes: 0 })
  assert.equal((await last.collect({ graceMs: 0 })).blocks, 5_000)
})

test('the reserve is kept: batches are refused before the disk is full, and collection makes room', async (t) => {
  await using disk = await smallDisk(t, 32)
  if (disk === undefined) return
  const options = { reserveBytes: 8 * MIB, probeMs: 20, segmentBytes: 4 * MIB }
  await using store = await openBlockStore(join(disk.path, 'store'), options)
  let roots = 0
  await assert.rejects(async () => {
    for (; roots < 100; roots += 1) await holdRoot(store, testBlocks(1, { from: roots, length: MIB }))
  }, isFull)
  assert.ok(roots >= 10 && roots < 28, `${roots} roots`)
  assert.ok(store.space().freeBytes >= 4 * MIB)
  for (let seed = 0; seed < roots; seed += 1) {
    if (seed % 4 > 0) await store.releaseRoot(testBlock(seed, MIB).cid)
  }
  await store.collect({ graceMs: 0 })
  await eventually('the store takes writes again', () => store.space().refusal === undefined)
  await holdRoot(store, testBlocks(1, { from: 500, length: MIB }))
  for (let seed = 0; seed < roots; seed += 4) {
    assert.deepEqual((await store.verifyRoot(testBlock(seed, MIB).cid))?.bad, [])
  }
})

test('nothing is acknowledged of writes whose sync failed, and what was synced before stays', async (t) => {
  await using disk = await lyingDisk(t)
  if (disk === undefined) return
  const folder = join(disk.path, 'store')
  await using store = await openBlockStore(folder, { reserveBytes: 0, probeMs: HOUR_MS })
  const kept = testBlocks(4, { length: MIB })
  const root = await holdRoot(store, kept)
  await using batch = store.openBatch()
  const late = testBlocks(60, { from: 1_000, length: MIB })
  await assert.rejects(async () => {
    await putAll(batch, late)
    await batch.flush()
  }, isFull)
  await assert.rejects(batch.flush(), isFull)
  assert.throws(() => store.openBatch(), isFull)
  assert.deepEqual((await store.verifyRoot(root.cid))?.bad, [])
  const known = late.filter(({ cid }) => store.has(cid))
  assert.ok(known.length < late.length, 'the sync did not fail')
  for (const { cid, bytes } of [...kept, ...known]) assertSame(await store.get(cid), bytes)
})
