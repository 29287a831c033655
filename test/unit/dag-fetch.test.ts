import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../../services/core/block-source.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { fetchDag, type FetchDagOptions } from '../../services/dag/fetch-dag.ts'
import { walk } from '../../services/dag/walk.ts'
import { addBomb, addChain, failsWith, loadCar, MemoryBlocks } from '../support/dag.ts'

/** A source that answers later, and counts what is under way. */
class LateSource implements BlockSource {
  readonly #blocks: MemoryBlocks
  underWay = 0
  mostUnderWay = 0
  aborted = 0

  constructor(blocks: MemoryBlocks) {
    this.#blocks = blocks
  }

  async get(cid: CID, options?: Abortable): Promise<Uint8Array | undefined> {
    options?.signal?.addEventListener('abort', () => (this.aborted += 1))
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay)
    await setImmediate()
    this.underWay -= 1
    return this.#blocks.get(cid, options)
  }
}

async function fetched(root: CID, source: BlockSource, held: MemoryBlocks, options?: FetchDagOptions): Promise<number> {
  let count = 0
  for await (const { cid, bytes } of fetchDag(root, source, held, options)) {
    await held.put(cid, bytes)
    count += 1
  }
  return count
}

test('a whole DAG is fetched, each block once, many at a time', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  const source = new LateSource(blocks)
  const held = new MemoryBlocks()
  assert.equal(await fetched(root, source, held, { concurrency: 16 }), 243)
  assert.equal(source.mostUnderWay, 16)
  assert.equal(blocks.reads.length, 243)
  assert.equal((await Array.fromAsync(walk(root, held))).length, 243)
})

test('an interrupted copy goes on where it stopped', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  const held = new MemoryBlocks()
  let left = 100
  for await (const { cid, bytes } of fetchDag(root, new LateSource(blocks), held)) {
    await held.put(cid, bytes)
    if (--left === 0) break
  }
  blocks.reads = []
  assert.equal(await fetched(root, new LateSource(blocks), held), 143)
  assert.equal(blocks.reads.length, 143)
})

test('a held block that went bad on disk is fetched again', async () => {
  const blocks = new MemoryBlocks()
  const root = blocks.addDirectory([['x', blocks.addRaw(Buffer.from('x'))]])
  class BadDisk extends MemoryBlocks {
    override get(cid: CID): Promise<Uint8Array | undefined> {
      if (!cid.equals(root)) return super.get(cid)
      return Promise.reject(new HoldfastError('CORRUPT_BLOCK', 'bad sector'))
    }
  }
  const held = new BadDisk()
  for (const { cid, bytes } of blocks.blocks()) await held.put(cid, bytes)
  assert.equal(await fetched(root, blocks, held), 1)
})

test('bytes that do not match their CID are refused', async () => {
  const blocks = new MemoryBlocks()
  const root = blocks.addRaw(Buffer.from('good'))
  const liar: BlockSource = { get: () => Promise.resolve(Buffer.from('EVIL')) }
  await assert.rejects(fetched(root, liar, new MemoryBlocks()), failsWith('HASH_MISMATCH'))
})

test('a block that the source does not have ends the copy, and what is under way is aborted', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  const links = await Array.fromAsync(walk(root, blocks))
  blocks.delete(links[1]?.cid as CID)
  const source = new LateSource(blocks)
  await assert.rejects(fetched(root, source, new MemoryBlocks()), failsWith('BLOCK_MISSING'))
  assert.ok(source.aborted > 0)
})

test('limits hold: depth, blocks, bytes', async () => {
  const blocks = new MemoryBlocks()
  await assert.rejects(fetched(addChain(blocks, 20_000), blocks, new MemoryBlocks()), failsWith('DAG_TOO_DEEP'))
  assert.equal(await fetched(addBomb(blocks), blocks, new MemoryBlocks()), 9)
  const { root, blocks: dag } = await loadCar('kubo-hamt.car')
  await assert.rejects(fetched(root, dag, new MemoryBlocks(), { maxBlocks: 10 }), failsWith('DAG_TOO_LARGE'))
  await assert.rejects(fetched(root, dag, new MemoryBlocks(), { maxBytes: 10 }), failsWith('DAG_TOO_LARGE'))
})

test('an abort ends the copy even while the source never answers', async () => {
  const blocks = new MemoryBlocks()
  const root = blocks.addRaw(new Uint8Array(1))
  const abort = new AbortController()
  const silent: BlockSource = {
    get: () => {
      abort.abort(new Error('too slow'))
      return new Promise(() => {})
    },
  }
  await assert.rejects(fetched(root, silent, new MemoryBlocks(), { signal: abort.signal }), /too slow/)
})
