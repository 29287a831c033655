import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { DAG_CBOR, RAW, SHA2_256 } from '../../services/core/cid.ts'
import { writeCar } from '../../services/dag/write-car.ts'
import { Cluster } from '../support/cluster.ts'
import { isWholeOn } from '../support/own-disk.ts'

const LISTS = 100
const LEAVES_PER_LIST = 1_000

test('a node with 100,000 blocks is killed, and has all of them when it is back', async (t) => {
  await using cluster = await Cluster.start()
  const { root, car } = await manyBlocks()
  // One copy, on the node of the one region that is left.
  await cluster.policy('one', { min: 1, target: 1 }, [{ forbid: 'region', in: ['frankfurt', 'virginia'] }])
  const { cid, blocks, pin } = await cluster.json<{ cid: string; blocks: number; pin: { requestid: string } }>(
    '/v1/uploads?policy=one',
    { method: 'POST', headers: { 'content-type': 'application/vnd.ipld.car' }, body: car },
  )
  assert.equal(cid, root.toString())
  assert.equal(blocks, 1 + LISTS + LISTS * LEAVES_PER_LIST)
  await cluster.pinned(pin.requestid, 1, 120_000)

  await cluster.kill('shanghai-1')
  const killedAt = performance.now()
  await cluster.join('shanghai-1')
  t.diagnostic(
    `back in the cluster after ${((performance.now() - killedAt) / 1_000).toFixed(1)} s, two processes started`,
  )
  assert.ok(await isWholeOn(cluster.named('shanghai-1'), root))
  assert.equal((await cluster.pinned(pin.requestid, 1)).replicas.length, 1)
})

/** A list of lists of small leaves. */
async function manyBlocks(): Promise<{ root: CID; car: Uint8Array<ArrayBuffer> }> {
  const leaves: Block[] = []
  const lists = Array.from({ length: LISTS }, (_, list) => {
    const links = Array.from({ length: LEAVES_PER_LIST }, (_, leaf) =>
      blockOf(RAW, Buffer.from(`leaf ${list} ${leaf}`)),
    )
    leaves.push(...links)
    return blockOf(DAG_CBOR, dagCbor.encode(links.map(({ cid }) => cid)))
  })
  const root = blockOf(DAG_CBOR, dagCbor.encode(lists.map(({ cid }) => cid)))
  const chunks: Uint8Array[] = []
  for await (const chunk of writeCar([root.cid], [root, ...lists, ...leaves])) chunks.push(chunk)
  return { root: root.cid, car: Buffer.concat(chunks) }
}

interface Block {
  cid: CID
  bytes: Uint8Array
}

function blockOf(codec: number, bytes: Uint8Array): Block {
  return { cid: CID.createV1(codec, create(SHA2_256, createHash('sha256').update(bytes).digest())), bytes }
}
