import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { BlockSource } from '../../services/core/block-source.ts'
import { CommandError } from '../../services/cli/exit-codes.ts'
import { carOf, dagOf } from '../../services/cli/folder-dag.ts'
import { listFolder, type LocalFolder } from '../../services/cli/list-folder.ts'
import { missingBlocks } from '../../services/cli/missing-blocks.ts'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { multihashKey } from '../../services/dag/multihash-key.ts'
import { readCar } from '../../services/dag/read-car.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { seededBytes } from '../support/random-bytes.ts'

const { signal } = new AbortController()

/** The files of a folder by their paths; a number stands for many bytes. */
type Files = Record<string, string | number>

async function withFolder<T>(files: Files, work: (folder: LocalFolder, path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-deploy-'))
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(path, name)), { recursive: true })
      await writeFile(join(path, name), typeof content === 'string' ? content : seededBytes(content, 2_500_000))
    }
    return await work(await listFolder(path, signal), path)
  } finally {
    await rm(path, { recursive: true })
  }
}

async function uploaded(files: Files) {
  const blocks = new MemoryBlocks()
  const items = Object.entries(files).map(([path, content]) => {
    const bytes = typeof content === 'string' ? Buffer.from(content) : seededBytes(content, 2_500_000)
    return { path, content: one(bytes) }
  })
  const { root } = await addDirectory(items, blocks)
  return { blocks, root }
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** What a deploy of the folder would send after that version, and how often the version was asked for a block. */
async function difference(before: Files, after: Files) {
  const base = await uploaded(before)
  const whole = await uploaded(after)
  return await withFolder(after, async (folder) => {
    const dag = await dagOf(folder, signal)
    assert.equal(dag.root.toString(), whole.root.toString())
    let asked = 0
    const source: BlockSource = {
      get: (cid) => {
        asked++
        return base.blocks.get(cid)
      },
    }
    const missing = await missingBlocks(dag, base.root, source, signal)
    const { length, chunks } = carOf(folder, dag.root, missing, signal)
    const pieces: Uint8Array[] = []
    for await (const chunk of chunks) pieces.push(chunk)
    const bytes = Buffer.concat(pieces)
    assert.equal(bytes.length, length, 'the length that was announced')
    const car = await readCar(one(bytes), { signal })
    assert.deepEqual(car.roots.map(String), [dag.root].map(String))
    const sent = new Set<string>()
    for await (const { cid } of car.blocks) sent.add(multihashKey(cid))
    for (const [key, { cid }] of dag.entries) {
      assert.ok(sent.has(key) || (await base.blocks.get(cid)) !== undefined, `${cid.toString()} is nowhere`)
    }
    return { length, sent: sent.size, asked }
  })
}

const SITE: Files = { 'index.html': 'one', 'assets/a.js': 'a', 'assets/film.mp4': 1, 'docs/deep/page.html': 'page' }

test('of a changed page its own block goes and the folders above it', async () => {
  const { sent, asked, length } = await difference(SITE, { ...SITE, 'docs/deep/page.html': 'another' })
  assert.equal(sent, 4)
  assert.equal(asked, 3, 'only what has changed is read of the earlier version')
  assert.ok(length < 2_000)
})

test('a file that moved or was renamed does not go again', async () => {
  const moved = { 'index.html': 'one', 'assets/b.js': 'a', 'media/film.mp4': 1, 'docs/deep/page.html': 'page' }
  const { length } = await difference(SITE, moved)
  assert.ok(length < 2_000, `${length} bytes`)
})

test('whatever changes, the earlier version and what is sent make up the whole', async () => {
  const files = fc.dictionary(
    fc.constantFrom('index.html', 'a/b', 'a/c', 'a/d/e', 'f'),
    fc.oneof(fc.constantFrom('x', 'y', ''), fc.constantFrom(1, 2)),
    { minKeys: 1 },
  )
  await fc.assert(
    fc.asyncProperty(files, files, async (before, after) => {
      await difference({ ...before }, { ...after })
    }),
    { numRuns: 30 },
  )
})

test('files that change while they are sent end the upload', async () => {
  await withFolder(SITE, async (folder, path) => {
    const dag = await dagOf(folder, signal)
    await writeFile(join(path, 'index.html'), 'two')
    const { chunks } = carOf(folder, dag.root, dag.entries, signal)
    await assert.rejects(async () => {
      for await (const _ of chunks);
    }, CommandError)
  })
})

test('whoever stops reading ends the work', async () => {
  await withFolder(SITE, async (folder) => {
    const dag = await dagOf(folder, signal)
    for await (const _ of carOf(folder, dag.root, dag.entries, signal).chunks) break
  })
})
