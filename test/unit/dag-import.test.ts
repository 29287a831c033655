import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { DAG_PB } from '../../services/core/cid.ts'
import { addDirectory, type DirectoryItem } from '../../services/dag/add-directory.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { multihashKey } from '../../services/dag/multihash-key.ts'
import { PROFILES } from '../../services/dag/profile.ts'
import { listDirectory } from '../../services/dag/list-directory.ts'
import { readFile } from '../../services/dag/read-file.ts'
import { resolve } from '../../services/dag/resolve.ts'
import { walk } from '../../services/dag/walk.ts'
import { chunked, failsWith, joined, MemoryBlocks, pseudoRandomBytes } from '../support/dag.ts'

const REFUSED_PATHS = ['', '.', '..', '/', '/a', 'a/', 'a//b', './a', 'a/./b', '../a', 'a/../../b', 'a\0b', '\ud800']

function text(content: string): AsyncIterable<Uint8Array> {
  return chunked(Buffer.from(content))
}

for (const path of REFUSED_PATHS) {
  test(`the path ${JSON.stringify(path)} is refused`, async () => {
    await assert.rejects(addDirectory([{ path, content: text('x') }], new MemoryBlocks()), failsWith('BAD_REQUEST'))
  })
}

test('a path of 256 segments is taken, one of 257 is refused', async () => {
  const path = Array.from({ length: 256 }, () => 'd').join('/')
  const blocks = new MemoryBlocks()
  const { root } = await addDirectory([{ path, content: text('deep') }], blocks)
  const { cid } = await resolve(root, path.split('/'), blocks)
  assert.equal(Buffer.from(await joined(readFile(cid, blocks))).toString(), 'deep')
  await assert.rejects(addDirectory([{ path: `${path}/d`, content: text('x') }], blocks), failsWith('BAD_REQUEST'))
})

test('a name of more than 1,024 bytes is refused', async () => {
  const path = 'é'.repeat(513)
  await assert.rejects(addDirectory([{ path, content: text('x') }], new MemoryBlocks()), failsWith('BAD_REQUEST'))
})

const CONFLICTS: [what: string, items: () => DirectoryItem[]][] = [
  ['a file twice', () => [file('a'), file('a')]],
  ['a file where a directory is', () => [file('a/b'), file('a')]],
  ['a file below a file', () => [file('a'), file('a/b')]],
  ['a directory where a file is', () => [file('a'), { path: 'a' }]],
  ['a directory below a file', () => [file('a'), { path: 'a/b' }]],
  ['a file where an empty directory is', () => [{ path: 'a' }, file('a')]],
]

function file(path: string): DirectoryItem {
  return { path, content: text(path) }
}

for (const [what, items] of CONFLICTS) {
  test(`${what} is refused`, async () => {
    await assert.rejects(addDirectory(items(), new MemoryBlocks()), failsWith('BAD_REQUEST'))
  })
}

test('an unknown profile is refused', async () => {
  const profile = 'unixfs-v9' as 'unixfs-v1-2025'
  await assert.rejects(addFile(text('x'), new MemoryBlocks(), { profile }), failsWith('BAD_REQUEST'))
})

test('directories may be empty, and may be named before or after their files', async () => {
  const blocks = new MemoryBlocks()
  const named = await addDirectory([{ path: 'a' }, file('a/b'), { path: 'a' }, { path: 'c/d' }], blocks)
  const { cid } = await resolve(named.root, ['c', 'd'], blocks)
  assert.equal(cid.toString(), 'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354')
  assert.deepEqual(await names(blocks, (await resolve(named.root, ['a'], blocks)).cid), ['b'])
})

test('a backslash is part of a name, also before a slash', async () => {
  const blocks = new MemoryBlocks()
  const { root } = await addDirectory([file('a\\/b'), file('c\\d')], blocks)
  assert.deepEqual(await names(blocks, root), ['a\\', 'c\\d'])
})

test('names like __proto__ are names', async () => {
  const blocks = new MemoryBlocks()
  const { root } = await addDirectory([file('__proto__'), file('constructor/toString')], blocks)
  assert.deepEqual(await names(blocks, root), ['__proto__', 'constructor'])
})

test('items are asked for one by one, each after the content of the one before was read to its end', async () => {
  const events: string[] = []
  async function* content(index: number): AsyncGenerator<Uint8Array> {
    for (let part = 0; part < 3; part++) {
      events.push(`content ${index}.${part}`)
      yield await Promise.resolve(pseudoRandomBytes(index * 3 + part, 400_000))
    }
  }
  function* items(): Generator<DirectoryItem> {
    for (let index = 0; index < 3; index++) {
      events.push(`item ${index}`)
      yield { path: `file-${index}`, content: content(index) }
    }
  }
  await addDirectory(items(), new MemoryBlocks())
  const expected = [0, 1, 2].flatMap((index) => [
    `item ${index}`,
    ...[0, 1, 2].map((part) => `content ${index}.${part}`),
  ])
  assert.deepEqual(events, expected)
})

test('a failure of the source is the failure of the import', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(new Uint8Array(10))
    throw new Error('connection lost')
  }
  await assert.rejects(addFile(broken(), new MemoryBlocks()), /connection lost/)
})

test('an import stops when it is aborted', async () => {
  const abort = new AbortController()
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (let count = 0; ; count++) {
      if (count === 5) abort.abort(new Error('client is gone'))
      yield await Promise.resolve(new Uint8Array(65_536))
    }
  }
  await assert.rejects(addFile(endless(), new MemoryBlocks(), { signal: abort.signal }), /client is gone/)
})

test('a file that holds the bytes of a directory block is both in the manifest, its block once', async () => {
  const blocks = new MemoryBlocks()
  const inner = await addDirectory([file('leaf')], blocks)
  const bytes = (await blocks.get(inner.root)) as Uint8Array
  for (const order of [
    ['copy', 'inner/leaf'],
    ['inner/leaf', 'zcopy'],
  ]) {
    const items = order.map((path) =>
      path.endsWith('copy') ? { path, content: chunked(bytes) } : { path, content: text('leaf') },
    )
    const { root, manifest } = await addDirectory(items, blocks)
    const entries = [...manifest].map(({ cid }) => multihashKey(cid))
    assert.equal(new Set(entries).size, entries.length)
    assert.equal(entries.length, (await Array.fromAsync(walk(root, blocks))).length)
    assert.notEqual(
      (await resolve(root, [order.find((path) => path.endsWith('copy')) as string], blocks)).cid.code,
      DAG_PB,
    )
  }
})

test('the manifest lists what a walk finds, in its order, and every file reads back', async () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter((value) => !/^\.{1,2}$|[/\0]/.test(value))
  const tree = fc.uniqueArray(
    fc.record({
      path: fc.array(name, { minLength: 1, maxLength: 4 }),
      size: fc.oneof(fc.nat(100), fc.constantFrom(0, 262_144, 300_000)),
      seed: fc.nat(3),
    }),
    { selector: ({ path }) => path[0], maxLength: 8 },
  )
  await fc.assert(
    fc.asyncProperty(tree, fc.constantFrom(...PROFILES), async (files, profile) => {
      const blocks = new MemoryBlocks()
      const items = files.map(({ path, size, seed }) => ({
        path: path.join('/'),
        content: chunked(pseudoRandomBytes(seed, size)),
      }))
      const { root, size, manifest } = await addDirectory(items, blocks, { profile })
      assert.equal(
        size,
        files.reduce((sum, each) => sum + each.size, 0),
      )
      const walked = await Array.fromAsync(walk(root, blocks))
      assert.deepEqual(
        [...manifest].map(({ cid, length }) => [cid.toString(), length]),
        walked.map(({ cid, length }) => [cid.toString(), length]),
      )
      assert.equal(new Set(blocks.blocks().map(({ cid }) => cid.toString())).size, walked.length)
      for (const { path, size: length, seed } of files) {
        const { cid } = await resolve(root, path, blocks)
        assert.deepEqual(await joined(readFile(cid, blocks)), pseudoRandomBytes(seed, length))
      }
    }),
    { numRuns: 60 },
  )
})

async function names(blocks: MemoryBlocks, cid: Parameters<typeof listDirectory>[0]): Promise<string[]> {
  return (await Array.fromAsync(listDirectory(cid, blocks))).map((entry) => entry.name)
}
