import assert from 'node:assert/strict'
import { open, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { pino } from 'pino'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { findHolders } from '../../services/gateway/holders.ts'
import { chunked, pseudoRandomBytes } from '../support/dag.ts'
import { ask, carCids, openGateway } from '../support/gateway.ts'

const PHOTO = pseudoRandomBytes(1, 3_500_000)

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-gateway-'))
})
after(() => rm(folder, { recursive: true }))

/** Puts one small site into the store, and answers its root. */
async function addSite(store: BlockStore): Promise<CID> {
  await using batch = store.openBatch()
  const { root, manifest } = await addDirectory(
    [
      { path: 'index.html', content: chunked(Buffer.from('<h1>Hello</h1>')) },
      { path: 'media/photo.png', content: chunked(PHOTO) },
    ],
    batch,
  )
  await batch.commitRoot(root, manifest)
  return root
}

/** Changes one byte in the middle of what the store has on disk. */
async function spoilDisk(name: string): Promise<void> {
  const segments = join(folder, name, 'segments')
  const [segment] = await readdir(segments)
  await using file = await open(join(segments, segment as string), 'r+')
  const at = Math.floor(PHOTO.length / 2)
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
  await file.write(Buffer.of((buffer[0] ?? 0) ^ 1), 0, 1, at)
}

test('a site in the store is served as it was uploaded', async () => {
  await using store = await openBlockStore(join(folder, 'served'))
  const root = await addSite(store)
  await using gateway = await openGateway(store)
  const site = `/ipfs/${root.toString()}`
  assert.equal((await ask(gateway.url, `${site}/`)).body.toString(), '<h1>Hello</h1>')
  const photo = await ask(gateway.url, `${site}/media/photo.png`)
  assert.equal(photo.headers['content-type'], 'image/png')
  assert.ok(photo.complete)
  assert.deepEqual(photo.body, Buffer.from(PHOTO))
  const car = await ask(gateway.url, `${site}?format=car`)
  assert.deepEqual(
    await carCids(car.body),
    Array.from(store.manifest(root), ({ cid }) => cid.toString()),
  )
})

test('a bit that flips on the disk never reaches a reader', async () => {
  await using store = await openBlockStore(join(folder, 'spoiled'))
  const root = await addSite(store)
  await spoilDisk('spoiled')
  await using gateway = await openGateway(store)
  const { complete, body } = await ask(gateway.url, `/ipfs/${root.toString()}/media/photo.png`)
  assert.equal(complete, false)
  assert.deepEqual(body, Buffer.from(PHOTO.subarray(0, body.length)))
})

test('a block that the disk spoiled comes from another holder', async () => {
  await using here = await openBlockStore(join(folder, 'here'))
  await using there = await openBlockStore(join(folder, 'there'))
  const [root] = await Promise.all([addSite(here), addSite(there)])
  await spoilDisk('here')
  const client = {
    has: (_node: string, cids: readonly CID[]) => Promise.resolve(cids.map((cid) => there.has(cid))),
    block: (_node: string, cid: CID) => there.get(cid),
    async *blocks(_node: string, cids: readonly CID[]) {
      for (const cid of cids) yield { cid, bytes: (await there.get(cid)) as Uint8Array }
    },
    rttMs: () => undefined,
  }
  const holders = findHolders({ client, nodes: () => ['there'], log: pino({ level: 'silent' }) })
  await using gateway = await openGateway(here, { holders })
  const { complete, body } = await ask(gateway.url, `/ipfs/${root.toString()}/media/photo.png`)
  assert.ok(complete)
  assert.deepEqual(body, Buffer.from(PHOTO))
})

/** The body of one answer, read with pauses, so that what is sent waits in the socket. */
async function readSlowly(url: string): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  const { body } = await fetch(url)
  for await (const piece of body ?? []) {
    pieces.push(piece)
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  return Buffer.concat(pieces)
}

test('many readers at once of large files, fast and slow, each get their own bytes', async () => {
  await using store = await openBlockStore(join(folder, 'crowd'))
  const files = [2, 3, 4].map((seed) => pseudoRandomBytes(seed, 9_000_000))
  const roots: CID[] = []
  for (const bytes of files) {
    await using batch = store.openBatch()
    const { root, manifest } = await addFile(chunked(bytes), batch)
    await batch.commitRoot(root, manifest)
    roots.push(root)
  }
  // With some room for the cache, a block is now its own, now one answer's.
  for (const cacheBytes of [0, 20_000_000]) {
    await using gateway = await openGateway(store, { settings: { cacheBytes } })
    const readers = Array.from({ length: 18 }, async (_, index) => {
      const url = `${gateway.url}/ipfs/${roots[index % 3]?.toString()}?filename=a.bin`
      const body = index % 2 === 0 ? await readSlowly(url) : Buffer.from(await (await fetch(url)).arrayBuffer())
      assert.ok(body.equals(files[index % 3] as Uint8Array), `reader ${index} got other bytes`)
    })
    await Promise.all(readers)
  }
})
