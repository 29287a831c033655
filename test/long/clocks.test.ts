import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { openDatabase } from '../../services/catalog/database.ts'
import { Cluster } from '../support/cluster.ts'
import { isWholeOn } from '../support/own-disk.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'

/** Environment of a process whose wall clock is wrong by that much; its monotonic clock is right. */
function wrongBy(offset: string): Record<string, string> {
  const library = readdirSync('/usr/lib')
    .map((folder) => join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1'))
    .find((path) => readable(path))
  assert.ok(library, 'libfaketime is needed: apt-get install faketime')
  return { LD_PRELOAD: library, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' }
}

function readable(path: string): boolean {
  try {
    return readdirSync(join(path, '..')).includes('libfaketimeMT.so.1')
  } catch {
    return false
  }
}

test('a node whose clock is 400 days ahead, and one 2 days behind, expire, collect and steal nothing', async () => {
  await using cluster = await Cluster.start({ HOLDFAST_GRACE: '24h' })
  const files = Array.from({ length: 6 }, (_, index) => seededBytes(800 + index, 400_000))
  const pins = await Promise.all(files.map(async (bytes) => ({ bytes, ...(await cluster.upload(bytes)) })))
  for (const { pin } of pins) await cluster.pinned(pin.requestid, 3)
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
  const expiring = await cluster.pin(pins[0]?.cid ?? '', { name: 'until tomorrow', meta: { expires: tomorrow } })
  const [unpinned, ...kept] = pins
  assert.ok(unpinned)
  // Nobody wants it any more, but its grace time has only begun; the other pin of it goes on.
  assert.equal((await cluster.api(`/psa/pins/${unpinned.pin.requestid}`, { method: 'DELETE' })).status, 202)

  for (const [id, offset] of [
    ['frankfurt-1', '+400d'],
    ['virginia-1', '-2d'],
  ] as const) {
    await cluster.kill(id)
    await cluster.join(id, wrongBy(offset))
  }

  const bytes = seededBytes(900, 3_000_000)
  const fresh = await cluster.upload(bytes)
  await cluster.pinned(fresh.pin.requestid, 3)
  for (const { pin } of kept) await cluster.pinned(pin.requestid, 3)
  await cluster.pinned(expiring.requestid, 3)

  await using db = openDatabase(cluster.ready.database, { connections: 1 })
  const odd = await db.query(
    `select n.name, r.state, r.verified_at from replica r join node n on n.id = r.node_id
      where r.verified_at > now() or r.verified_at < now() - interval '1 hour' or r.attempts > 3`,
  )
  assert.deepEqual(odd, [])
  await until('all nodes up', async () => {
    const rows = await db.query<{ liveness: string }>('select liveness from node')
    return rows.every(({ liveness }) => liveness === 'up')
  })
  for (const node of cluster.ready.nodes) {
    for (const { cid } of [...pins, fresh]) assert.ok(await isWholeOn(node, CID.parse(cid)), `${cid} on ${node.id}`)
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${fresh.cid}`), bytes), 0)
  }
})
