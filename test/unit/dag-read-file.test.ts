import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../../services/core/block-source.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { PROFILES } from '../../services/dag/profile.ts'
import { fileSize, readFile } from '../../services/dag/read-file.ts'
import {
  addBomb,
  addChain,
  chunked,
  failsWith,
  joined,
  loadCar,
  MemoryBlocks,
  pseudoRandomBytes,
} from '../support/dag.ts'

/** A file as a tree of nodes with at most three children, and bytes of their own in some. */
function addTree(blocks: MemoryBlocks, bytes: Uint8Array, leafBytes: number, inline: boolean): CID {
  if (bytes.length <= leafBytes) return blocks.addRaw(bytes)
  const own = inline ? bytes.subarray(0, leafBytes >> 1) : bytes.subarray(0, 0)
  const rest = bytes.subarray(own.length)
  const step = Math.ceil(rest.length / 3)
  const parts = [0, 1, 2]
    .map((index) => rest.subarray(index * step, (index + 1) * step))
    .filter(({ length }) => length > 0)
  const blockSizes = parts.map(({ length }) => BigInt(length))
  return blocks.addPb(
    new UnixFS({ type: 'file', data: own, blockSizes }).marshal(),
    parts.map((part) => ({ Name: '', Tsize: 1, Hash: addTree(blocks, part, leafBytes, inline) })),
  )
}

test('any range of any file is that range of its bytes', async () => {
  const shape = fc.record({
    length: fc.nat(3_000),
    leafBytes: fc.integer({ min: 2, max: 300 }),
    inline: fc.boolean(),
    offset: fc.nat(3_500),
    rangeLength: fc.option(fc.nat(3_500), { nil: undefined }),
    readahead: fc.integer({ min: 0, max: 9 }),
  })
  await fc.assert(
    fc.asyncProperty(shape, async ({ length, leafBytes, inline, offset, rangeLength, readahead }) => {
      const bytes = pseudoRandomBytes(length, length)
      const blocks = new MemoryBlocks()
      const root = addTree(blocks, bytes, leafBytes, inline)
      assert.equal(await fileSize(root, blocks), length)
      assert.deepEqual(await joined(readFile(root, blocks, { readahead })), bytes)
      const range = rangeLength === undefined ? { offset } : { offset, length: rangeLength }
      const expected = bytes.slice(offset, rangeLength === undefined ? undefined : offset + rangeLength)
      assert.deepEqual(await joined(readFile(root, blocks, { ...range, readahead })), expected)
    }),
    { numRuns: 300 },
  )
})

for (const profile of PROFILES) {
  test(`a file of 20 MiB in ${profile} reads back, and a range reads its blocks only`, async () => {
    const bytes = pseudoRandomBytes(7, 20 << 20)
    const blocks = new MemoryBlocks()
    const { root } = await addFile(chunked(bytes), blocks, { profile })
    assert.ok(Buffer.from(bytes).equals(await joined(readFile(root, blocks))))
    blocks.reads = []
    const range = await joined(readFile(root, blocks, { offset: 10_000_000, length: 10 }))
    assert.deepEqual(range, bytes.slice(10_000_000, 10_000_010))
    assert.equal(blocks.reads.length, 2)
  })
}

test('bytes are views of the blocks', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(new Uint8Array([1, 2, 3, 4]))
  const [chunk] = await Array.fromAsync(readFile(leaf, blocks, { offset: 1 }))
  assert.equal(chunk?.buffer, (await blocks.get(leaf))?.buffer)
})

test('a missing block in the middle ends the stream with an error after the bytes before it', async () => {
  const blocks = new MemoryBlocks()
  const leaves = [1, 2, 3].map((value) => blocks.addRaw(new Uint8Array([value])))
  const root = blocks.addFileNode(leaves, [1, 1, 1])
  blocks.delete(leaves[2] as CID)
  const seen: number[] = []
  await assert.rejects(async () => {
    for await (const chunk of readFile(root, blocks)) seen.push(...chunk)
  }, failsWith('BLOCK_MISSING'))
  assert.deepEqual(seen, [1, 2])
})

test('a node that claims another size than its child has ends in an error, never early', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(pseudoRandomBytes(1, 262_144))
  const lies = [[1e12], [262_145], [262_143], [1]]
  for (const sizes of lies) {
    const root = blocks.addFileNode([leaf], sizes)
    assert.equal(await fileSize(root, blocks), sizes[0])
    await assert.rejects(joined(readFile(root, blocks)), failsWith('MALFORMED_BLOCK'))
    const above = blocks.addFileNode([root], [262_144])
    await assert.rejects(joined(readFile(above, blocks)), failsWith('MALFORMED_BLOCK'))
  }
})

test('children of claimed size 0 are not read: a tree of them would never end', async () => {
  const blocks = new MemoryBlocks()
  let top = blocks.addRaw(new Uint8Array(0))
  const many = <T>(value: T): T[] => Array.from({ length: 174 }, () => value)
  for (let level = 0; level < 9; level++) top = blocks.addFileNode(many(top), many(0))
  assert.equal((await joined(readFile(top, blocks))).length, 0)
  assert.equal(blocks.reads.length, 1)
})

test('a chain of 20,000 nodes is too deep, after 1,024 reads', async () => {
  const blocks = new MemoryBlocks()
  await assert.rejects(joined(readFile(addChain(blocks, 20_000), blocks)), failsWith('DAG_TOO_DEEP'))
  assert.ok(blocks.reads.length <= 1_026)
  assert.deepEqual(await joined(readFile(addChain(blocks, 1_000), blocks)), new Uint8Array([1]))
})

test('a DAG bomb costs what is read of it', async () => {
  const blocks = new MemoryBlocks()
  const root = addBomb(blocks)
  let bytes = 0
  for await (const chunk of readFile(root, blocks)) {
    bytes += chunk.length
    if (bytes === 1_000) break
  }
  assert.ok(blocks.reads.length < 1_100)
})

/** Answers when it is told to, in any order. */
class ManualSource implements BlockSource {
  readonly #blocks: BlockSource
  readonly waiting: (() => void)[] = []
  aborted = 0

  constructor(blocks: BlockSource) {
    this.#blocks = blocks
  }

  async get(cid: CID, options?: Abortable): Promise<Uint8Array | undefined> {
    options?.signal?.addEventListener('abort', () => (this.aborted += 1))
    await new Promise<void>((resolve) => this.waiting.push(resolve))
    return this.#blocks.get(cid)
  }

  answerAll(): number {
    const answered = this.waiting.splice(0)
    for (const answer of answered) answer()
    return answered.length
  }
}

test('blocks are read ahead up to the limit, and what is under way is aborted when the reader stops', async () => {
  const blocks = new MemoryBlocks()
  const leaves = Array.from({ length: 20 }, (_, value) => blocks.addRaw(new Uint8Array([value])))
  const source = new ManualSource(blocks)
  const sizes = leaves.map(() => 1)
  const stream = readFile(blocks.addFileNode(leaves, sizes), source, { readahead: 5 })
  const first = stream.next()
  await until(() => source.answerAll() === 1)
  await until(() => source.waiting.length === 5)
  source.waiting
    .splice(0)
    .reverse()
    .forEach((answer) => answer())
  assert.deepEqual((await first).value, new Uint8Array([0]))
  const second = stream.next()
  assert.deepEqual((await second).value, new Uint8Array([1]))
  await until(() => source.waiting.length === 1)
  await stream.return(undefined)
  assert.ok(source.aborted > 0)
})

/** Lets the microtasks of an in-memory source run until the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) {
    if (condition()) return
    await Promise.resolve()
  }
  assert.fail('the condition never came true')
}

test('the readahead of a deep tree is bounded over all its levels', async () => {
  const blocks = new MemoryBlocks()
  let top = blocks.addRaw(new Uint8Array([1]))
  let size = 1
  const siblings: string[] = []
  for (let level = 0; level < 500; level++) {
    const sibling = blocks.addRaw(Buffer.from(`sibling ${level}`))
    siblings.push(sibling.toString())
    const length = `sibling ${level}`.length
    top = blocks.addFileNode([top, sibling, sibling, sibling], [size, length, length, length])
    size += 3 * length
  }
  const stream = readFile(top, blocks, { readahead: 4 })
  await stream.next()
  assert.ok(blocks.reads.filter((cid) => siblings.includes(cid.toString())).length <= 4)
  await stream.return(undefined)
})

test('a read stops when it is aborted', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  const abort = new AbortController()
  const reason = new Error('client is gone')
  abort.abort(reason)
  await assert.rejects(joined(readFile(root, blocks, { signal: abort.signal })), reason)
})

test('reading a file of many tiny blocks lets others have their turn', async () => {
  const blocks = new MemoryBlocks()
  const abort = new AbortController()
  const reason = new Error('enough')
  setImmediate(() => abort.abort(reason))
  await assert.rejects(joined(readFile(addBomb(blocks), blocks, { signal: abort.signal, length: 20_000 })), reason)
})

test('directories are no files', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  await assert.rejects(joined(readFile(root, blocks)), failsWith('NOT_A_FILE'))
  await assert.rejects(fileSize(blocks.addDirectory([]), blocks), failsWith('NOT_A_FILE'))
})
