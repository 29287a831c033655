import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDatabase, type Database } from '../../services/catalog/database.ts'
import { Cluster } from '../support/cluster.ts'
import { fewAtOnce } from '../support/few-at-once.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { startSecondControl } from '../support/second-control.ts'
import { until } from '../support/until.ts'

const QUICK = { HOLDFAST_SUSPECT_AFTER: '4s', HOLDFAST_DOWN_AFTER: '8s' }

interface Leader {
  role: string
  holder: string
  epoch: number
}

function leadersOf(db: Database): Promise<Leader[]> {
  return db.query<Leader>('select role, holder, epoch::float8 as epoch from leader order by role')
}

test('a control plane that was frozen for longer than its leases does no harm when it goes on', async () => {
  await using cluster = await Cluster.start(QUICK)
  await using db = openDatabase(cluster.ready.database, { connections: 2 })
  const pins = await fewAtOnce(40, async (index) => {
    const bytes = seededBytes(600 + index, 50_000)
    return { bytes, ...(await cluster.upload(bytes)) }
  })
  for (const { pin } of pins) await cluster.pinned(pin.requestid, 3)
  await using second = await startSecondControl(cluster, QUICK)
  const before = await leadersOf(db)
  const frozen = cluster.ready.control.pid
  process.kill(frozen, 'SIGSTOP')
  try {
    // The nodes know only the frozen one: the second takes its roles, and hears nothing of any node.
    const taken = await until('both roles in other hands', async () => {
      const now = await leadersOf(db)
      return now.every(({ holder, epoch }, index) => {
        const old = before[index]
        return old !== undefined && (holder !== old.holder ? epoch > old.epoch : epoch >= old.epoch) && holder !== ''
      }) && new Set(now.map(({ holder }) => holder)).size === 1
        ? now
        : undefined
    })
    assert.equal(taken.length, 2)
    await until('nodes that are down', async () => {
      const [row] = await db.query<{ down: number }>(`select count(*)::int as down from node where liveness = 'down'`)
      return row?.down === 3
    })
    for (const node of cluster.ready.nodes) {
      const [some] = pins
      assert.ok(some)
      assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${some.cid}`), some.bytes), 0)
    }
    const answer = await fetch(`${second.url}/v1/pins/${pins[0]?.pin.requestid}`, {
      headers: { authorization: `Bearer ${cluster.ready.token}` },
    })
    assert.equal(answer.status, 200)
  } finally {
    process.kill(frozen, 'SIGCONT')
  }
  const atThaw = await leadersOf(db)

  for (const { pin, cid, bytes } of pins) {
    const { replicas } = await cluster.pinned(pin.requestid, 3, 90_000)
    assert.equal(replicas.length, 3, 'no copy too many')
    for (const node of cluster.ready.nodes) {
      assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0)
    }
  }
  // Whoever holds a role holds it under the newest number.
  const after = await leadersOf(db)
  assert.ok(after.every(({ epoch }, index) => epoch >= (atThaw[index]?.epoch ?? Infinity)))
  const later = await cluster.upload(seededBytes(700, 50_000))
  await cluster.pinned(later.pin.requestid, 3)
})
