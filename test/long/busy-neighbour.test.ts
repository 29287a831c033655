import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { openDatabase } from '../../services/catalog/database.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { makeToken } from '../../services/catalog/token-text.ts'
import { RAW, SHA2_256 } from '../../services/core/cid.ts'
import { Cluster } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'

const UNFINDABLE = 5_000
const UPLOADERS = 4
const LARGE_BYTES = 30_000_000

test('while one account floods the cluster, small uploads of another are pinned', async () => {
  await using cluster = await Cluster.start()
  await using db = openDatabase(cluster.ready.database, { connections: 1 })
  const token = makeToken()
  await ensureTenant(db, 'neighbour', token)

  const lines = Array.from({ length: UNFINDABLE }, (_, index) => JSON.stringify({ cid: nobodyHas(index) })).join('\n')
  const headers = { 'content-type': 'application/x-ndjson' }
  const batch = await cluster.api('/v1/pins:batch', { method: 'POST', headers, body: lines })
  assert.equal(batch.status, 200)
  assert.equal((await batch.text()).trim().split('\n').length, UNFINDABLE)

  const stop = new AbortController()
  const flood = Promise.all(
    Array.from({ length: UPLOADERS }, async (_, uploader) => {
      for (let round = 0; !stop.signal.aborted; round++) {
        await cluster.upload(seededBytes(5_000 * (uploader + 1) + round, LARGE_BYTES))
      }
    }),
  )
  const authorization = `Bearer ${token}`
  const neighbour = async (): Promise<void> => {
    for (let round = 0; round < 5; round++) {
      const body = seededBytes(9_000 + round, 20_000) as Uint8Array<ArrayBuffer>
      const type = 'application/octet-stream'
      const uploaded = await fetch(`${cluster.ready.api}/v1/uploads`, {
        method: 'POST',
        headers: { authorization, 'content-type': type },
        body,
      })
      assert.equal(uploaded.status, 201)
      const { pin } = (await uploaded.json()) as { pin: { requestid: string } }
      await until('the pin of the neighbour', async () => {
        const answer = await fetch(`${cluster.ready.api}/psa/pins/${pin.requestid}`, { headers: { authorization } })
        return ((await answer.json()) as { status: string }).status === 'pinned'
      })
    }
  }
  try {
    await Promise.race([neighbour(), flood])
    const [row] = await db.query<{ waiting: number }>(
      `select count(*)::int as waiting from pin where status in ('queued', 'pinning')`,
    )
    assert.ok((row?.waiting ?? 0) > 1_000, `the flood was over: only ${row?.waiting} pins waited`)
  } finally {
    stop.abort()
    await flood
  }
})

function nobodyHas(index: number): string {
  const digest = createHash('sha256').update(`nobody has this ${index}`).digest()
  return CID.createV1(RAW, create(SHA2_256, digest)).toString()
}
