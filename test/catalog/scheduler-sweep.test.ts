import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lead } from '../../services/catalog/leases.ts'
import { Sweep } from '../../services/scheduler/sweep.ts'
import { addNode } from '../support/node-rows.ts'
import { withTenants } from '../support/pins.ts'

const CONTENTS = 2_200
const HOUR_MS = 3_600_000

test('every root is looked at although the cluster changes all the time, and once more after it has changed', async () => {
  await using it = await withTenants()
  const { db } = it
  await addNode(db, { name: 'a', region: 'a' })
  await db.run(`insert into content (cid) select sha256(i::text::bytea) from generate_series(1, $1::int) i`, [CONTENTS])
  const sweep = new Sweep()
  const seen = new Set<string>()
  const pass = async (): Promise<boolean> => {
    const held = await lead(db, 'sweeper', 'me', HOUR_MS)
    assert.ok(held)
    const isHurried = await sweep.pass(db, held, { role: 'sweeper', everyMs: HOUR_MS })
    const rows = await db.query<{ id: string }>('delete from reconcile_queue returning content_id as id')
    for (const { id } of rows) seen.add(id)
    return isHurried
  }
  for (let change = 0; change < 6; change++) {
    await db.run(`update node_beat set refusal = $1`, [change % 2 === 0 ? 'full' : null])
    await pass()
  }
  assert.equal(seen.size, CONTENTS)
  seen.clear()
  await db.run(`update node_beat set refusal = 'full again'`)
  for (let passes = 0; await pass(); passes++) assert.ok(passes < 10, 'a round has an end')
  assert.equal(seen.size, CONTENTS)
  await pass()
  assert.equal(await pass(), false)
})
