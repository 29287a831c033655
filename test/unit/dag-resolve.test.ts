import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import * as fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { DAG_CBOR, DAG_JSON, DAG_PB, IDENTITY } from '../../services/core/cid.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { listDirectory } from '../../services/dag/list-directory.ts'
import { readFile } from '../../services/dag/read-file.ts'
import { resolve } from '../../services/dag/resolve.ts'
import { encodePb, failsWith, joined, loadCar, MemoryBlocks } from '../support/dag.ts'

const notFound = (segment: string) => (error: unknown) =>
  error instanceof HoldfastError && error.code === 'NOT_FOUND' && error.message.includes(JSON.stringify(segment))

test('an empty path is the root itself, and nothing is read', async () => {
  const blocks = new MemoryBlocks()
  const root = blocks.addDirectory([])
  assert.deepEqual(await resolve(root, [], blocks), { cid: root, remainder: [], path: [root], proof: [] })
  assert.equal(blocks.reads.length, 0)
})

test('a path through directories reads each directory on it and not the end', async () => {
  const blocks = new MemoryBlocks()
  const file = blocks.addRaw(Buffer.from('hello'))
  const inner = blocks.addDirectory([['file', file]])
  const root = blocks.addDirectory([
    ['inner', inner],
    ['other', blocks.addRaw(Buffer.from('x'))],
  ])
  const resolved = await resolve(root, ['inner', 'file'], blocks)
  assert.equal(resolved.cid.toString(), file.toString())
  assert.deepEqual(resolved.path.map(String), [root, inner, file].map(String))
  assert.deepEqual(
    resolved.proof.map(({ cid }) => cid.toString()),
    [root, inner].map(String),
  )
  assert.deepEqual(blocks.reads.map(String), [root, inner].map(String))
})

test('what is not there is named', async () => {
  const blocks = new MemoryBlocks()
  const root = blocks.addDirectory([['a', blocks.addRaw(Buffer.from('a'))]])
  await assert.rejects(resolve(root, ['b'], blocks), notFound('b'))
  await assert.rejects(resolve(root, ['a', 'c'], blocks), notFound('c'))
  await assert.rejects(resolve(root, [''], blocks), notFound(''))
  await assert.rejects(resolve(root, ['..'], blocks), notFound('..'))
})

test('every name in a HAMT that Kubo made is found, through the shards on its path only', async () => {
  const { root, blocks } = await loadCar('kubo-hamt.car')
  const entries = await Array.fromAsync(listDirectory(root, blocks))
  assert.equal(entries.length, 1_000)
  for (const { name, cid } of entries) {
    blocks.reads = []
    const resolved = await resolve(root, [name], blocks)
    assert.equal(resolved.cid.toString(), cid.toString())
    assert.ok(blocks.reads.length <= 3)
    assert.deepEqual(resolved.path.map(String), [root, cid].map(String))
    assert.deepEqual(
      resolved.proof.map((block) => block.cid.toString()),
      blocks.reads.map(String),
    )
  }
  await assert.rejects(resolve(root, ['no.txt'], blocks), notFound('no.txt'))
})

test('a symlink is an end, and is not followed', async () => {
  const { root, blocks } = await loadCar('symlink.car')
  const { cid } = await resolve(root, ['bar'], blocks)
  await assert.rejects(resolve(root, ['bar', 'x'], blocks), notFound('x'))
  await assert.rejects(joined(readFile(cid, blocks)), failsWith('NOT_A_FILE'))
})

for (const codec of ['cbor', 'json']) {
  test(`fields and links of a DAG-${codec.toUpperCase()} made elsewhere are followed`, async () => {
    const { root, blocks } = await loadCar(`dag-${codec}-traversal.car`)
    const link = await resolve(root, ['foo', 'link', 'bar'], blocks)
    assert.equal(link.path.length, 3)
    assert.deepEqual(link.remainder, [])
    const inside = await resolve(root, ['foo', 'link', 'bar', 'hello'], blocks)
    assert.equal(inside.cid.toString(), link.cid.toString())
    assert.deepEqual(inside.remainder, ['hello'])
    assert.equal(inside.proof.length, 2)
    await assert.rejects(resolve(root, ['foo', 'i-do-not-exist'], blocks), notFound('i-do-not-exist'))
    await assert.rejects(resolve(root, ['foo', 'object', 'banana', '0'], blocks), notFound('0'))
  })
}

test('lists have indexes, maps have only their own keys', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(Buffer.from('x'))
  const json = Buffer.from(JSON.stringify({ list: [1, { '/': leaf.toString() }], toString: 1 }))
  const root = blocks.add(DAG_JSON, json)
  assert.equal((await resolve(root, ['list', '1'], blocks)).cid.toString(), leaf.toString())
  for (const path of [['list', '01'], ['list', '-1'], ['list', 'length'], ['__proto__'], ['constructor']]) {
    await assert.rejects(resolve(root, path, blocks), failsWith('NOT_FOUND'), path.join('/'))
  }
  assert.deepEqual((await resolve(root, ['toString'], blocks)).remainder, ['toString'])
})

test('links of DAG-PB without UnixFS are followed by name', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(Buffer.from('x'))
  const root = blocks.addPb(undefined, [{ Hash: leaf, Name: 'leaf', Tsize: 1 }])
  assert.equal((await resolve(root, ['leaf'], blocks)).cid.toString(), leaf.toString())
})

test('a path leads through identity CIDs, which are no proof', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(Buffer.from('x'))
  const value = dagCbor.encode({ leaf })
  const identity = CID.createV1(DAG_CBOR, createDigest(IDENTITY, value))
  const root = blocks.add(DAG_JSON, dagJson.encode({ identity }))
  const resolved = await resolve(root, ['identity', 'leaf'], blocks)
  assert.equal(resolved.cid.toString(), leaf.toString())
  assert.deepEqual(
    resolved.proof.map(({ cid }) => cid.toString()),
    [root.toString()],
  )
})

test('more than 256 segments are refused', async () => {
  const blocks = new MemoryBlocks()
  const path = Array.from({ length: 257 }, () => 'a')
  await assert.rejects(resolve(blocks.addDirectory([]), path, blocks), failsWith('BAD_REQUEST'))
})

test('a missing block on the path is missing, not "not found"', async () => {
  const blocks = new MemoryBlocks()
  const inner = blocks.addDirectory([])
  const root = blocks.addDirectory([['inner', inner]])
  blocks.delete(inner)
  await assert.rejects(resolve(root, ['inner', 'x'], blocks), failsWith('BLOCK_MISSING'))
})

function shard(blocks: MemoryBlocks, names: [string, CID][], fanout = 256): CID {
  const bits = new Uint8Array(fanout / 8)
  for (let bit = 0; bit < names.length; bit++) bits[bit >> 3] = (bits[bit >> 3] as number) | (1 << (bit & 7))
  const data = new UnixFS({ type: 'hamt-sharded-directory', fanout: BigInt(fanout), hashType: 0x22n, data: bits })
  return blocks.addPb(
    data.marshal(),
    names.map(([Name, Hash]) => ({ Name, Hash, Tsize: 1 })),
  )
}

/** `Name` links of every place to the same shard below. */
function everyPlace(below: CID): [string, CID][] {
  return Array.from({ length: 256 }, (_, place) => [place.toString(16).toUpperCase().padStart(2, '0'), below])
}

test('malformed HAMTs are refused, in lookups and in listings', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(Buffer.from('x'))
  const bad = [
    shard(blocks, everyPlace(leaf)),
    shard(blocks, everyPlace(blocks.addDirectory([]))),
    shard(blocks, everyPlace(shard(blocks, [], 16))),
  ]
  for (const root of bad) {
    await assert.rejects(resolve(root, ['any'], blocks), failsWith('MALFORMED_BLOCK'))
    await assert.rejects(Array.fromAsync(listDirectory(root, blocks)), failsWith('MALFORMED_BLOCK'))
  }
  for (const name of ['zzx', '0', '', 'ffx', '+1x', '0xa']) {
    const root = shard(blocks, [[name, leaf]])
    await assert.rejects(Array.fromAsync(listDirectory(root, blocks)), failsWith('MALFORMED_BLOCK'), name)
  }
})

test('a HAMT that is deeper than its hash, or stands in itself many times, ends at once', async () => {
  const blocks = new MemoryBlocks()
  let root = shard(blocks, [])
  for (let level = 0; level < 20; level++) root = shard(blocks, everyPlace(root))
  await assert.rejects(resolve(root, ['any'], blocks), failsWith('MALFORMED_BLOCK'))
  await assert.rejects(Array.fromAsync(listDirectory(root, blocks)), failsWith('MALFORMED_BLOCK'))
  assert.ok(blocks.reads.length < 50)
})

test('names that no path can mean are left out of listings', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(Buffer.from('x'))
  const names = ['', '.', '..', 'a/b', 'a\0b', 'fine', 'back\\slash', '...', 'ünï']
  const fine = ['fine', 'back\\slash', '...', 'ünï']
  const plain = blocks.addDirectory(names.map((name) => [name, leaf]))
  assert.deepEqual(
    (await Array.fromAsync(listDirectory(plain, blocks))).map(({ name }) => name),
    fine,
  )
  const hostile = shard(blocks, [
    ['01..', leaf],
    ['02a/b', leaf],
    ['03fine', leaf],
  ])
  assert.deepEqual(
    (await Array.fromAsync(listDirectory(hostile, blocks))).map(({ name }) => name),
    ['fine'],
  )
})

test('files, raw blocks, and what is no UnixFS cannot be listed', async () => {
  const blocks = new MemoryBlocks()
  const raw = blocks.addRaw(Buffer.from('x'))
  const list = (cid: CID) => Array.fromAsync(listDirectory(cid, blocks))
  await assert.rejects(list(raw), failsWith('NOT_FOUND'))
  await assert.rejects(list(blocks.addFileNode([raw], [1])), failsWith('NOT_FOUND'))
  await assert.rejects(list(blocks.add(DAG_CBOR, dagCbor.encode({}))), failsWith('UNSUPPORTED_CODEC'))
})

test('a listing reads no entry, and tells raw files from the rest', async () => {
  const blocks = new MemoryBlocks()
  const raw = blocks.addRaw(Buffer.from('x'))
  const dir = blocks.addDirectory([])
  const root = blocks.addDirectory([
    ['raw', raw],
    ['dir', dir],
  ])
  const entries = await Array.fromAsync(listDirectory(root, blocks))
  assert.deepEqual(
    entries.map(({ type }) => type),
    ['file', undefined],
  )
  assert.deepEqual(blocks.reads.map(String), [String(root)])
})

test('paths through blocks with bytes changed anywhere resolve or fail as expected', async () => {
  const blocks = new MemoryBlocks()
  const leaf = blocks.addRaw(Buffer.from('x'))
  const bytes = encodePb(new UnixFS({ type: 'directory' }).marshal(), [{ Hash: leaf, Name: 'leaf', Tsize: 1 }])
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, to) => {
      const changed = new Uint8Array(bytes)
      changed[at] = to
      const root = blocks.add(DAG_PB, changed)
      try {
        await resolve(root, ['leaf', 'x'], blocks)
        assert.fail('a raw block has no fields')
      } catch (error) {
        assert.ok(error instanceof HoldfastError, String(error))
      }
    }),
    { numRuns: 1_000 },
  )
})
