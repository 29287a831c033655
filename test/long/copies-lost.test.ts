import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDatabase } from '../../services/catalog/database.ts'
import { Cluster } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { fewAtOnce } from '../support/few-at-once.ts'
import { until } from '../support/until.ts'

const QUICK = { HOLDFAST_SUSPECT_AFTER: '4s', HOLDFAST_DOWN_AFTER: '8s' }

test('a pin is whole again when all copies but one are wiped and the row of that one is gone', async () => {
  await using cluster = await Cluster.start(QUICK)
  const pins = await Promise.all(
    Array.from({ length: 5 }, async (_, index) => {
      const bytes = seededBytes(100 + index, 600_000)
      return { bytes, ...(await cluster.upload(bytes)) }
    }),
  )
  for (const { pin } of pins) await cluster.pinned(pin.requestid, 3)

  const [survivor, ...wiped] = cluster.ready.nodes
  assert.ok(survivor)
  for (const { id } of wiped) await cluster.kill(id)
  for (const { data } of wiped) await rm(join(data, 'blocks'), { recursive: true })
  await using db = openDatabase(cluster.ready.database, { connections: 1 })
  await db.run('delete from replica where node_id = (select id from node where name = $1)', [survivor.id])
  for (const { id } of wiped) await cluster.join(id)

  for (const { pin, cid, bytes } of pins) {
    await cluster.pinned(pin.requestid, 3, 120_000)
    for (const node of cluster.ready.nodes) {
      assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0, node.id)
    }
  }
})

test('of a node that dies, contents with one copy left are healed before those with two', async () => {
  await using cluster = await Cluster.start({ HOLDFAST_NODES: '4', ...QUICK })
  const victim = cluster.node(3)
  await cluster.policy('three', { min: 1, target: 3 })
  await cluster.policy('two', { min: 1, target: 2 })
  const pins = await fewAtOnce(200, (index) =>
    cluster.upload(seededBytes(10_000 + index, 2_000), `?policy=${index % 2 === 0 ? 'three' : 'two'}`),
  )
  for (const [index, { pin }] of pins.entries()) await cluster.pinned(pin.requestid, index % 2 === 0 ? 3 : 2)

  await using db = openDatabase(cluster.ready.database, { connections: 1 })
  const held = await db.query<{ contentId: string; copies: number }>(
    `select r.content_id as "contentId", (select count(*)::int from replica o where o.content_id = r.content_id) as copies
       from replica r join node n on n.id = r.node_id where n.name = $1 and r.state = 'verified'`,
    [victim.id],
  )
  const endangered = held.filter(({ copies }) => copies === 2)
  const safe = held.filter(({ copies }) => copies === 3)
  assert.ok(endangered.length > 10 && safe.length > 10, `${endangered.length} and ${safe.length} are on the victim`)
  await cluster.kill(victim.id)

  const healed = await until(
    'every copy elsewhere',
    async () => {
      const rows = await db.query<{ contentId: string; at: string }>(
        `select r.content_id as "contentId", max(r.verified_at) as at
           from replica r join node n on n.id = r.node_id
          where n.name <> $1 and r.state = 'verified' and r.content_id = any ($2)
          group by r.content_id
         having count(*) >= case when r.content_id = any ($3) then 2 else 3 end`,
        [victim.id, held.map(({ contentId }) => contentId), endangered.map(({ contentId }) => contentId)],
      )
      return rows.length === held.length ? new Map(rows.map(({ contentId, at }) => [contentId, at])) : undefined
    },
    120_000,
  )
  // Many are copied at once, so the order is one of crowds: half of the endangered are safe before most of the others.
  const timeOf = (contents: { contentId: string }[], share: number): string => {
    const times = contents.map(({ contentId }) => healed.get(contentId) ?? '').sort()
    return times[Math.floor(times.length * share)] ?? ''
  }
  const [first, then] = [timeOf(endangered, 0.5), timeOf(safe, 0.75)]
  assert.ok(first <= then, `${first} is not before ${then}`)
})
