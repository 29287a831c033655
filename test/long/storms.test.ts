import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { Cluster, type PinAnswer } from '../support/cluster.ts'
import { isWholeOn, segmentBytesOf } from '../support/own-disk.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { until } from '../support/until.ts'

const MIB = 1_024 * 1_024
/** Files of one storm share the first of these with the file that stays. */
const SHARED = Buffer.concat([seededBytes(1, MIB), seededBytes(2, MIB)])
const CLIENTS = 4
const ROUNDS = 12

test('shared blocks survive a storm of pins, unpins and replacements, and what nobody wants is given back', async (t) => {
  await using cluster = await Cluster.start({ HOLDFAST_GRACE: '2s' })
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6))
  t.diagnostic(`seed ${seed}`)
  const kept = Buffer.concat([SHARED, seededBytes(3, MIB)])
  const keeper = await cluster.upload(kept)
  await cluster.pinned(keeper.pin.requestid, 3)

  const cids = new Set<string>()
  const survivors = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const random = seededRandom(seed + client)
      let mine: PinAnswer | undefined
      for (let round = 0; round < ROUNDS; round++) {
        const unlike = seededBytes(1_000 * (client + 1) + round, MIB + 1)
        const { cid, pin } = await cluster.upload(Buffer.concat([SHARED, unlike]))
        cids.add(cid)
        mine = mine === undefined ? pin : await succeed(cluster, random(), mine, pin)
        assert.equal(Buffer.compare(await cluster.read(cluster.node(round % 3), `/ipfs/${keeper.cid}`), kept), 0)
      }
      assert.ok(mine)
      return mine
    }),
  )
  assert.equal(cids.size, CLIENTS * ROUNDS)

  // What is wanted at the end is whole everywhere, and the rest is gone from the disks.
  for (const { requestid, pin } of survivors) {
    await cluster.pinned(requestid, 3)
    for (const node of cluster.ready.nodes) assert.ok(await isWholeOn(node, CID.parse(pin.cid)))
  }
  const wanted = kept.length + CLIENTS * (MIB + 1)
  for (const node of cluster.ready.nodes) {
    await until(`room on ${node.id}`, async () => (await segmentBytesOf(node)) <= 2 * wanted + MIB, 90_000)
  }

  for (const { requestid } of survivors) {
    assert.equal((await cluster.api(`/psa/pins/${requestid}`, { method: 'DELETE' })).status, 202)
  }
  for (const node of cluster.ready.nodes) {
    await until(
      `the rest of the room on ${node.id}`,
      async () => (await segmentBytesOf(node)) <= 2 * kept.length,
      90_000,
    )
    assert.ok(await isWholeOn(node, CID.parse(keeper.cid)))
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${keeper.cid}`), kept), 0)
  }
  assert.equal((await cluster.details(keeper.pin.requestid)).status, 'pinned')
})

/** Lets the newer pin take the place of the older in one of the ways that there are, and answers the pin that is left. */
async function succeed(cluster: Cluster, choice: number, older: PinAnswer, newer: PinAnswer): Promise<PinAnswer> {
  const remove = async ({ requestid }: PinAnswer): Promise<void> =>
    assert.equal((await cluster.api(`/psa/pins/${requestid}`, { method: 'DELETE' })).status, 202)
  if (choice < 0.4) {
    const [replaced] = await Promise.all([
      cluster.json<PinAnswer>(`/psa/pins/${older.requestid}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ cid: newer.pin.cid }),
      }),
      remove(newer),
    ])
    return replaced
  }
  if (choice < 0.7) {
    await Promise.all([remove(older), remove(newer)])
    return await cluster.pin(newer.pin.cid)
  }
  await remove(older)
  return newer
}
