import assert from 'node:assert/strict'
import { cp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Cluster, type ReadyNode } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'

/** Named, so that a node on a full disk is no mass failure of three. */
const SMALL = 'virginia-1'
const ONLY_SMALL = { copies: { min: 1, target: 1 }, rules: [{ forbid: 'region', in: ['shanghai', 'frankfurt'] }] }

const opened = new AsyncDisposableStack()
let cluster: Cluster
let disk: SmallDisk
before(async () => {
  cluster = await Cluster.start()
  opened.defer(() => cluster[Symbol.asyncDispose]())
  disk = await moveToSmallDisk(cluster.named(SMALL))
  // The node must have let go of its disk before that is unmounted.
  opened.defer(async () => {
    await cluster.down()
    await disk[Symbol.asyncDispose]()
  })
  await cluster.policy('only-small', ONLY_SMALL.copies, ONLY_SMALL.rules)
})
after(() => opened.disposeAsync())

test('a node whose disk is full refuses uploads, serves what it has, and comes back by itself', async () => {
  const old = seededBytes(301, 3_000_000)
  const kept = await cluster.upload(old, '?policy=only-small')
  await cluster.pinned(kept.pin.requestid, 1)
  const everywhere = await cluster.upload(seededBytes(302, 1_000_000))
  await cluster.pinned(everywhere.pin.requestid, 3)

  await disk.fill()
  const refused = await until('a refusal', async () => {
    const answer = await upload(seededBytes(303, 2_000_000), '?policy=only-small')
    return answer.status === 201 ? undefined : answer
  })
  assert.ok(['STORAGE_FULL', 'NO_NODE_AVAILABLE'].includes(refused.reason), refused.reason)
  assert.ok([503, 507].includes(refused.status), String(refused.status))
  await until('a node that says why', async () => /full/.test((await nodeView()).refusal ?? ''))

  // What has room elsewhere goes there, and nobody claims a copy on the full disk.
  const bytes = seededBytes(304, 2_000_000)
  const elsewhere = await cluster.upload(bytes)
  const { replicas } = await cluster.pinned(elsewhere.pin.requestid, 2)
  assert.deepEqual(
    replicas.filter(({ node, state }) => node === SMALL && state === 'verified'),
    [],
  )

  for (const node of cluster.ready.nodes) {
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${kept.cid}`), old), 0, node.id)
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${elsewhere.cid}`), bytes), 0, node.id)
  }
  assert.equal((await cluster.details(kept.pin.requestid)).status, 'pinned')

  await disk.free()
  await until('a node that takes writes', async () => (await nodeView()).refusal === null)
  await cluster.pinned(elsewhere.pin.requestid, 3)
  const later = await cluster.upload(seededBytes(305, 1_000_000), '?policy=only-small')
  await cluster.pinned(later.pin.requestid, 1)
})

test('a disk that fills up in the middle of uploads leaves no pin without its bytes', async () => {
  // Half of the uploads can only go to the small disk, and together they are larger than it.
  const uploads = await Promise.all(
    Array.from({ length: 24 }, async (_, index) => {
      const bytes = seededBytes(400 + index, 16_000_000)
      return { bytes, ...(await upload(bytes, index % 2 === 0 ? '?policy=only-small' : '')) }
    }),
  )
  const refused = uploads.filter(({ status }) => status !== 201)
  const taken = uploads.filter(({ status }) => status === 201)
  assert.ok(refused.length > 0 && taken.length > 0, `${taken.length} of ${uploads.length} were taken`)
  for (const { status, reason } of refused) assert.ok([503, 507].includes(status), `${status} ${reason}`)
  for (const { requestId, cid, bytes } of taken) {
    await until('a pin', async () => (await cluster.details(requestId)).status === 'pinned', 60_000)
    assert.equal(Buffer.compare(await cluster.read(cluster.node(0), `/ipfs/${cid}`), bytes), 0)
  }
})

interface Answer {
  status: number
  reason: string
  requestId: string
  cid: string
}

async function upload(body: Uint8Array, query: string): Promise<Answer> {
  const headers = { 'content-type': 'application/octet-stream' }
  const response = await cluster.api(`/v1/uploads${query}`, {
    method: 'POST',
    headers,
    body: body as Buffer<ArrayBuffer>,
  })
  const answer = (await response.json()) as {
    cid?: string
    pin?: { requestid: string }
    error?: { reason: string }
  }
  return {
    status: response.status,
    reason: answer.error?.reason ?? '',
    requestId: answer.pin?.requestid ?? '',
    cid: answer.cid ?? '',
  }
}

async function nodeView(): Promise<{ id: string; refusal: string | null }> {
  const { nodes } = await cluster.json<{ nodes: { id: string; refusal: string | null }[] }>('/v1/nodes')
  const view = nodes.find(({ id }) => id === SMALL)
  assert.ok(view)
  return view
}

/** Stops the node, and starts it again with the same key on an empty small disk. */
async function moveToSmallDisk({ id, data }: ReadyNode): Promise<SmallDisk> {
  await cluster.kill(id)
  const key = join(cluster.folder, `${id}.key`)
  await cp(join(data, 'node.key'), key)
  await rm(data, { recursive: true })
  await mkdir(data)
  const small = await mountSmallDisk(data, 160)
  await cp(key, join(data, 'node.key'))
  await cluster.join(id)
  return small
}
