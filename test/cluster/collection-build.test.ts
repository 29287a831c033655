import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { Cluster } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'

/** A collection that is built on a whole cluster, by the command line. */

const PROGRAM = resolve(import.meta.dirname, '../../services/cli/main.ts')
const IMAGE_BYTES = 400_000

let cluster: Cluster
let place: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-collections-'))
  cluster = await Cluster.start()
})
after(async () => {
  await cluster[Symbol.asyncDispose]()
  await rm(place, { recursive: true, force: true })
})

interface Built {
  assets: { cid: string; sentBytes: number; pin: { requestid: string; status: string } }
  metadata: { cid: string; sentBytes: number; pin: { requestid: string; status: string } }
  baseUri: string
  problems: unknown[]
}

async function build(...words: string[]): Promise<Built> {
  const env = { PATH: process.env['PATH'], HOLDFAST_DATA: cluster.folder }
  const child = spawn(process.execPath, [PROGRAM, 'collection', 'build', 'punks', '--json', ...words], {
    cwd: place,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  assert.equal(child.exitCode, 0, err)
  return JSON.parse(out) as Built
}

async function addToken(number: number, seed = number): Promise<void> {
  await mkdir(join(place, 'punks/images'), { recursive: true })
  await mkdir(join(place, 'punks/json'), { recursive: true })
  await writeFile(join(place, `punks/images/${number}.png`), seededBytes(seed, IMAGE_BYTES))
  const metadata = { name: `Punk ${number}`, image: `images/${number}.png` }
  await writeFile(join(place, `punks/json/${number}.json`), JSON.stringify(metadata))
}

/** Token by token, as a wallet does: from the base URI to the metadata to the image. */
async function serves(baseUri: string, number: number, seed = number): Promise<void> {
  for (const node of cluster.ready.nodes) {
    const path = `${baseUri.replace('ipfs://', '/ipfs/')}${number}`
    const { name, image } = JSON.parse(Buffer.from(await cluster.read(node, path)).toString()) as {
      name: string
      image: string
    }
    assert.equal(name, `Punk ${number}`)
    const bytes = await cluster.read(node, image.replace('ipfs://', '/ipfs/'))
    assert.equal(Buffer.compare(bytes, seededBytes(seed, IMAGE_BYTES)), 0, `${node.id}: ${image}`)
  }
}

test('a collection is built, pinned and served; of the next one only what is new is sent', async () => {
  for (let number = 0; number < 5; number++) await addToken(number)
  const planned = await build('--check')
  assert.equal(planned.assets.pin, null)
  const first = await build()
  assert.deepEqual(first.problems, [])
  assert.deepEqual(
    [first.assets.cid, first.metadata.cid, first.baseUri],
    [planned.assets.cid, planned.metadata.cid, planned.baseUri],
  )
  assert.deepEqual([first.assets.pin.status, first.metadata.pin.status], ['pinned', 'pinned'])
  assert.ok(first.assets.sentBytes > 5 * IMAGE_BYTES)
  for (let number = 0; number < 5; number++) await serves(first.baseUri, number)

  const again = await build()
  assert.deepEqual([again.assets.sentBytes, again.metadata.sentBytes], [0, 0])
  assert.equal(again.assets.pin.requestid, first.assets.pin.requestid)
  const sameTwice = [await build('--policy', 'default'), await build('--policy', 'default')]
  assert.deepEqual(
    sameTwice.map(({ metadata }) => metadata.pin.requestid),
    Array(2).fill(first.metadata.pin.requestid),
  )

  await addToken(5)
  await addToken(2, 20)
  const second = await build()
  assert.notEqual(second.assets.cid, first.assets.cid)
  const { sentBytes } = second.assets
  assert.ok(sentBytes > 2 * IMAGE_BYTES && sentBytes < 3 * IMAGE_BYTES, `${sentBytes} bytes: two images and the folder`)
  await serves(second.baseUri, 5)
  await serves(second.baseUri, 2, 20)
  await serves(first.baseUri, 2)
})
