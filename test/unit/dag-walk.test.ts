import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { DAG_CBOR, DAG_PB, IDENTITY, RAW } from '../../services/core/cid.ts'
import { BlockMissing } from '../../services/dag/read-block.ts'
import { walk, type WalkOptions } from '../../services/dag/walk.ts'
import { addBomb, addChain, encodePb, failsWith, loadCar, MemoryBlocks } from '../support/dag.ts'

async function walked(root: CID, blocks: MemoryBlocks, options?: WalkOptions): Promise<string[]> {
  return Array.fromAsync(walk(root, blocks, options), ({ cid }) => cid.toString())
}

function leaf(blocks: MemoryBlocks, text: string): CID {
  return blocks.addRaw(Buffer.from(text))
}

test('a walk is depth first, a block before what it links to, each block once', async () => {
  const blocks = new MemoryBlocks()
  const [a, b, c] = ['a', 'bb', 'ccc'].map((text) => leaf(blocks, text)) as [CID, CID, CID]
  const left = blocks.addDirectory([
    ['a', a],
    ['b', b],
  ])
  const right = blocks.addDirectory([
    ['b', b],
    ['c', c],
  ])
  const root = blocks.addDirectory([
    ['left', left],
    ['right', right],
    ['right again', right],
  ])
  const entries = await Array.fromAsync(walk(root, blocks))
  assert.deepEqual(
    entries.map(({ cid }) => cid.toString()),
    [root, left, a, b, right, c].map(String),
  )
  assert.deepEqual(
    entries.map(({ length }) => length).filter((length) => length < 4),
    [1, 2, 3],
  )
})

test('what a walk lists is the set of blocks of a random DAG', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.nat(), { maxLength: 5 }), { maxLength: 30 }), async (shape) => {
      const blocks = new MemoryBlocks()
      const nodes = [blocks.addRaw(new Uint8Array([0]))]
      for (const [index, picks] of shape.entries()) {
        const links = picks.map((pick) => nodes[pick % nodes.length] as CID)
        nodes.push(blocks.add(DAG_CBOR, dagCbor.encode({ index, links })))
      }
      const reachable = new Set<string>()
      const visit = (cid: CID): void => {
        if (reachable.has(cid.toString())) return
        reachable.add(cid.toString())
        const index = nodes.indexOf(cid)
        if (index > 0) for (const pick of shape[index - 1] ?? []) visit(nodes[pick % index] as CID)
      }
      const root = nodes.at(-1) as CID
      visit(root)
      const found = await walked(root, blocks)
      assert.equal(new Set(found).size, found.length)
      assert.deepEqual(new Set(found), reachable)
    }),
    { numRuns: 200 },
  )
})

test('raw leaves are not read when their size is known', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  const all = await walked(root, blocks)
  assert.equal(all.length, 243)
  blocks.reads = []
  assert.deepEqual(await walked(root, blocks, { sizeOf: (cid) => blocks.sizeOf(cid) }), all)
  assert.ok(blocks.reads.every(({ code }) => code === DAG_PB))
})

test('a DAG bomb of 9 blocks is read 9 times', async () => {
  const blocks = new MemoryBlocks()
  const root = addBomb(blocks)
  assert.equal((await walked(root, blocks)).length, 9)
  assert.equal(blocks.reads.length, 9)
})

test('a chain of 1,023 nodes is walked, one of 20,000 is too deep and costs no more', async () => {
  const blocks = new MemoryBlocks()
  assert.equal((await walked(addChain(blocks, 1_023), blocks)).length, 1_024)
  const root = addChain(blocks, 20_000)
  blocks.reads = []
  await assert.rejects(walked(root, blocks), failsWith('DAG_TOO_DEEP'))
  assert.equal(blocks.reads.length, 1_024)
})

test('a DAG with more blocks or bytes than allowed is refused at the first one too many', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  await assert.rejects(walked(root, blocks, { maxBlocks: 242 }), failsWith('DAG_TOO_LARGE'))
  assert.equal((await walked(root, blocks, { maxBlocks: 243 })).length, 243)
  await assert.rejects(walked(root, blocks, { maxBytes: 1_000 }), failsWith('DAG_TOO_LARGE'))
})

test('a tree of full blocks cannot make the walk remember all their links', async () => {
  const blocks = new MemoryBlocks()
  let top = blocks.addRaw(new Uint8Array([1]))
  for (let level = 0; level < 30; level++) {
    const links = Array.from({ length: 40_000 }, () => top)
    top = blocks.add(DAG_CBOR, dagCbor.encode({ level, links }))
  }
  await assert.rejects(walked(top, blocks), failsWith('DAG_TOO_LARGE'))
})

test('the first missing block ends the walk and is named', async () => {
  const blocks = new MemoryBlocks()
  const [a, b, c] = ['a', 'b', 'c'].map((text) => leaf(blocks, text)) as [CID, CID, CID]
  const root = blocks.addDirectory([
    ['a', a],
    ['b', b],
    ['c', c],
  ])
  blocks.delete(a)
  blocks.delete(c)
  await assert.rejects(walked(root, blocks), (error) => error instanceof BlockMissing && error.cid.equals(a))
  const missing: CID[] = []
  assert.deepEqual(await walked(root, blocks, { onMissing: (cid) => missing.push(cid) }), [root, b].map(String))
  assert.deepEqual(missing.map(String), [a, c].map(String))
})

test('a missing root is a missing block', async () => {
  const blocks = new MemoryBlocks()
  const root = leaf(blocks, 'x')
  blocks.delete(root)
  await assert.rejects(walked(root, blocks), failsWith('BLOCK_MISSING'))
})

test('version 0 and version 1 of a CID are one block', async () => {
  const blocks = new MemoryBlocks()
  const dir = blocks.addDirectory([])
  const root = blocks.addDirectory([
    ['v0', CID.createV0(dir.multihash as never)],
    ['v1', dir],
  ])
  assert.equal((await walked(root, blocks)).length, 2)
})

test('a node that is linked as raw bytes too is followed all the same, and listed once', async () => {
  const blocks = new MemoryBlocks()
  const hidden = leaf(blocks, 'hidden')
  const dir = blocks.addDirectory([['hidden', hidden]])
  const root = blocks.addDirectory([
    ['1 raw', CID.createV1(RAW, dir.multihash)],
    ['2 node', dir],
  ])
  const found = await walked(root, blocks)
  assert.equal(found.length, 3)
  assert.ok(found.includes(hidden.toString()))
})

test('what is inside identity CIDs is followed, but is no block', async () => {
  const blocks = new MemoryBlocks()
  const inside = leaf(blocks, 'linked from inside an identity CID')
  const node = encodePb(undefined, [{ Hash: inside, Name: 'x', Tsize: 1 }])
  const identity = CID.createV1(DAG_PB, createDigest(IDENTITY, node))
  const root = blocks.addDirectory([['identity', identity]])
  assert.deepEqual(await walked(root, blocks), [root, inside].map(String))
  assert.deepEqual(await walked(identity, blocks), [String(inside)])
})

test('an identity CID over 128 bytes and hashes that are not allowed are refused', async () => {
  const blocks = new MemoryBlocks()
  for (const digest of [createDigest(IDENTITY, new Uint8Array(129)), createDigest(0xd5, new Uint8Array(16))]) {
    const root = blocks.addDirectory([['x', CID.createV1(RAW, digest)]])
    await assert.rejects(walked(root, blocks), failsWith('HASH_NOT_ALLOWED'))
  }
  const git = CID.createV1(0x78, blocks.addRaw(new Uint8Array(1)).multihash)
  await assert.rejects(walked(blocks.addDirectory([['x', git]]), blocks), failsWith('UNSUPPORTED_CODEC'))
})

test('a walk stops when it is aborted, and lets others have their turn', async () => {
  const blocks = new MemoryBlocks()
  const leaves = Array.from({ length: 5_000 }, (_, index) => leaf(blocks, `leaf ${index}`))
  const root = blocks.add(DAG_CBOR, dagCbor.encode(leaves))
  const abort = new AbortController()
  const reason = new Error('enough')
  setImmediate(() => abort.abort(reason))
  await assert.rejects(walked(root, blocks, { signal: abort.signal }), reason)
})
