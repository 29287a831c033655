import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'node:test'
import type { BlockReader, BlockStore, StoredRoot } from '../../services/blocks/contract.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { copy, isWhole, lying, Nodes, storeFile, type TestNode } from './nodes.ts'

const MIB = 1_024 * 1_024
const BYTES = seededBytes(11, 20 * MIB)
const OTHER = seededBytes(12, 2 * MIB)

interface Setting {
  liar: TestNode
  honest: TestNode
  to: TestNode
  file: StoredRoot
  other: StoredRoot
}

async function withLiar(lies: (store: BlockStore) => Partial<BlockReader>, check: (setting: Setting) => Promise<void>) {
  await using nodes = await Nodes.open()
  const liar = await nodes.add('liar', { serves: (store) => lying(store, lies(store)) })
  const honest = await nodes.add('honest')
  const to = await nodes.add('to', { client: { stallMs: 400, minBytesPerSecond: 1_024 } })
  const file = await storeFile(liar.store, BYTES)
  const other = await storeFile(liar.store, OTHER)
  await storeFile(honest.store, BYTES)
  await check({ liar, honest, to, file, other })
}

async function completesFromTheOther({ to, file }: Setting): Promise<void> {
  assert.deepEqual(await copy(to, file.cid, ['liar', 'honest']), file)
  assert.ok(await isWhole(to.store, file.cid))
}

async function failsAlone({ to, file }: Setting): Promise<void> {
  await assert.rejects(copy(to, file.cid, ['liar']), (error: { code?: string }) =>
    ['UPSTREAM_FAILED', 'BLOCK_MISSING', 'TIMED_OUT', 'HASH_MISMATCH'].includes(error.code ?? ''),
  )
  assert.equal(to.store.root(file.cid), undefined)
}

const WRONG_BYTES = (store: BlockStore): Partial<BlockReader> => ({
  async *sections(cids, options) {
    for await (const chunk of store.sections(cids, options)) {
      const spoiled = Buffer.from(chunk)
      spoiled[spoiled.length - 1] = (spoiled.at(-1) ?? 0) ^ 1
      yield spoiled
    }
  },
  async get(cid, options) {
    const bytes = await store.get(cid, options)
    return bytes === undefined ? undefined : Buffer.concat([bytes.subarray(1), Buffer.from([7])])
  },
})

test('a source with wrong bytes stores nothing, and another completes', async () => {
  await withLiar(WRONG_BYTES, async (setting) => {
    await failsAlone(setting)
    for (const { cid } of setting.liar.store.manifest(setting.file.cid)) assert.equal(setting.to.store.has(cid), false)
    await completesFromTheOther(setting)
  })
})

test('a source that sends blocks nobody asked for is dropped', async () => {
  const lies = (store: BlockStore): Partial<BlockReader> => ({
    sections: (_, options) =>
      store.sections(
        [...store.manifest([...store.roots()][0]!.cid)].map(({ cid }) => cid),
        options,
      ),
    get: () => Promise.resolve(undefined),
  })
  await withLiar(lies, completesFromTheOther)
})

test('a manifest that leaves out blocks does not make an incomplete copy', async () => {
  const lies = (store: BlockStore): Partial<BlockReader> => ({
    *manifest(root, from = 0) {
      if (from === 0) yield* store.manifest(root, 0, 3)
    },
  })
  await withLiar(lies, async ({ to, file }) => {
    assert.deepEqual(await copy(to, file.cid, ['liar']), file)
    assert.ok(await isWhole(to.store, file.cid))
  })
})

test('a manifest with unrelated blocks does not put them into the copy', async () => {
  const lies = (store: BlockStore): Partial<BlockReader> => ({
    *manifest(root, from, to) {
      yield* store.manifest(root, from, to)
      for (const stored of store.roots()) if (!stored.cid.equals(root)) yield* store.manifest(stored.cid)
    },
  })
  await withLiar(lies, async (setting) => {
    const { to, file, honest } = setting
    await completesFromTheOther(setting)
    assert.deepEqual([...to.store.manifest(file.cid)], [...honest.store.manifest(file.cid)])
    // What came too much is counted by no root, and goes.
    const collected = await to.store.collect({ graceMs: 0 })
    assert.ok(collected.blocks > 0)
    assert.ok(await isWhole(to.store, file.cid))
  })
})

test('a source that has no blocks, whatever its manifest says, is passed over', async () => {
  const lies = (): Partial<BlockReader> => ({ sizeOf: () => undefined, get: () => Promise.resolve(undefined) })
  await withLiar(lies, async (setting) => {
    await failsAlone(setting)
    await completesFromTheOther(setting)
  })
})

test('a source that breaks off in the middle of a block is passed over', async () => {
  const lies = (store: BlockStore): Partial<BlockReader> => ({
    async *sections(cids, options) {
      for await (const chunk of store.sections(cids, options)) {
        yield chunk.subarray(0, chunk.length - 100)
        throw new Error('broken')
      }
    },
    get: () => Promise.resolve(undefined),
  })
  await withLiar(lies, async (setting) => {
    await failsAlone(setting)
    await completesFromTheOther(setting)
  })
})

test('a source that stalls in the middle is given up for another', async () => {
  const lies = (store: BlockStore): Partial<BlockReader> => ({
    async *sections(cids, options) {
      for await (const chunk of store.sections(cids, options)) {
        yield chunk.subarray(0, 1_000)
        await delay(600_000, undefined, { signal: options?.signal ?? AbortSignal.timeout(1) })
      }
    },
  })
  await withLiar(lies, completesFromTheOther)
})

test('a source that trickles is given up for another', async () => {
  const lies = (store: BlockStore): Partial<BlockReader> => ({
    async *sections(cids, options) {
      for await (const chunk of store.sections(cids, options)) {
        for (let at = 0; at < chunk.length; at++) {
          yield chunk.subarray(at, at + 1)
          await delay(50, undefined, { signal: options?.signal ?? AbortSignal.timeout(1) })
        }
      }
    },
  })
  await withLiar(lies, completesFromTheOther)
})

test('a section that claims to be huge is refused before it is waited for', async () => {
  const lies = (store: BlockStore): Partial<BlockReader> => ({
    async *sections(cids) {
      let left = 0
      for (const cid of cids) left += (store.sizeOf(cid) ?? 0) + cid.bytes.length + 4
      yield Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0x07]), Buffer.alloc(Math.min(left, 1_000))])
      await delay(600_000, undefined, { signal: AbortSignal.timeout(300) })
    },
    get: () => Promise.resolve(undefined),
  })
  await withLiar(lies, async (setting) => {
    await failsAlone(setting)
    await completesFromTheOther(setting)
  })
})
