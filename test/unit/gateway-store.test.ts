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
  }
  const holders = findHolders({ client, nodes: () => ['there'], log: pino({ level: 'silent' }) })
  await using gateway = await openGateway(here, { holders })
  const { complete, body } = await ask(gateway.url, `/ipfs/${root.toString()}/media/photo.png`)
  assert.ok(complete)
  assert.deepEqual(body, Buffer.from(PHOTO))
})
