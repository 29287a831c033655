import assert from 'node:assert/strict'
import { rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { Cluster, type ReadyNode } from '../support/cluster.ts'
import { isWholeOn } from '../support/own-disk.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { flipBitsOf, segmentsWith } from '../support/spoiled-disk.ts'
import { until } from '../support/until.ts'

let cluster: Cluster
before(async () => {
  cluster = await Cluster.start()
})
after(() => cluster[Symbol.asyncDispose]())

test('flipped bits are never served, are not counted as a copy, and are healed from another holder', async () => {
  const bytes = seededBytes(201, 3_000_000)
  const { cid, pin } = await cluster.upload(bytes)
  await cluster.pinned(pin.requestid, 3)
  const node = cluster.node(1)
  assert.ok((await flipBitsOf(node, bytes.subarray(1_000_000, 1_000_064))) > 0)

  for (let reads = 0; reads < 3; reads++) assertSame(await cluster.read(node, `/ipfs/${cid}`), bytes)
  await healed(node, pin.requestid)
})

test('a segment that was cut short is healed once one of its blocks was missed', async () => {
  const bytes = seededBytes(202, 3_000_000)
  const { cid, pin } = await cluster.upload(bytes)
  await cluster.pinned(pin.requestid, 3)
  const node = cluster.node(2)
  const [segment] = await segmentsWith(node, bytes.subarray(2_000_000, 2_000_064))
  assert.ok(segment)
  await truncate(segment.path, segment.at)

  assertSame(await cluster.read(node, `/ipfs/${cid}`), bytes)
  await healed(node, pin.requestid)
})

test('a node whose index was deleted gets its copies again, from what its segments have', async () => {
  const bytes = seededBytes(203, 1_000_000)
  const { cid, pin } = await cluster.upload(bytes)
  await cluster.pinned(pin.requestid, 3)
  const { id, data } = cluster.node(0)
  await cluster.kill(id)
  await rm(join(data, 'blocks', 'index'), { recursive: true })
  await cluster.join(id)

  assertSame(await cluster.read(cluster.named(id), `/ipfs/${cid}`), bytes)
  await healed(cluster.named(id), pin.requestid)
})

function assertSame(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(Buffer.compare(actual, expected), 0)
}

/** Waits until all of the pin is on the node's own disk, valid, and counted as a verified copy. */
async function healed(node: ReadyNode, requestId: string): Promise<void> {
  await until(
    `a copy on ${node.id} that was made whole`,
    async () => {
      const { pin, replicas } = await cluster.details(requestId)
      const copy = replicas.find((replica) => replica.node === node.id)
      return copy?.state === 'verified' && (await isWholeOn(node, CID.parse(pin.cid)))
    },
    60_000,
  )
}
