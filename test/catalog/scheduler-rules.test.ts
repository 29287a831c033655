import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deleteDenylist, putDenylist } from '../../services/catalog/denylists.ts'
import { RULES } from '../../services/catalog/wake.ts'
import { registrationMessage, type SyncRequest } from '../../services/core/sync.ts'
import { GIB, MINUTE_MS } from '../../services/core/units.ts'
import { simulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import { SimulatedNode } from '../support/simulated-node.ts'

const FOREVER = new AbortController().signal
const BEAT = { capacityBytes: GIB, freeBytes: GIB, storedBytes: 0, blocks: 0, roots: 0, addresses: [] }

async function sessionOf(cluster: SimulatedCluster): Promise<string> {
  const node = new SimulatedNode(cluster.sync, cluster.world, { name: 'a', region: 'a', joinToken: cluster.joinToken })
  const { challenge } = await cluster.sync.challenge()
  const { session } = await cluster.sync.register({
    publicKey: node.publicKey,
    joinToken: cluster.joinToken,
    labels: { region: 'a' },
    capacityBytes: GIB,
    transfer: 'a:1',
    gateway: 'http://a',
    challenge,
    proof: node.sign(registrationMessage(challenge, node.publicKey)),
  })
  return session
}

async function save(cluster: SimulatedCluster, text: string): Promise<string> {
  const { saved } = await putDenylist(cluster.db, { name: 'own', status: 410, text: once(text) })
  cluster.wakes.announce(RULES)
  return saved.hash
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

test('a node is told new rules at once, and those that it has are not sent again', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  const session = await sessionOf(cluster)
  const ask = async (versions: Pick<SyncRequest, 'directory' | 'rules'>, waitMs: number) =>
    await cluster.sync.sync(session, { beat: BEAT, reports: [], slots: 0, waitMs, ...versions }, FOREVER)

  const first = await ask({ directory: '', rules: '' }, 0)
  assert.deepEqual(first.rules?.denylists, [])
  const [clock] = await cluster.db.query<{ ms: number }>('select extract(epoch from now())::float8 * 1000 as ms')
  assert.ok(Math.abs((first.clockMs ?? 0) - (clock?.ms ?? 0)) < MINUTE_MS)
  const versions = { directory: first.directory?.version ?? '', rules: first.rules?.version ?? '' }
  assert.equal((await ask(versions, 0)).rules, undefined)
  assert.equal((await ask({ directory: versions.directory }, 0)).rules, undefined)

  const waiting = ask(versions, 30_000)
  const hash = await save(cluster, '/ipns/bad.example\n')
  const told = await waiting
  assert.equal(told.rules?.denylists[0]?.hash, hash)
  assert.equal(await cluster.sync.rules(session, hash, 0), '/ipns/bad.example\n')
})

test('documents are for sessions of nodes, and gone with the rules that named them', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  const session = await sessionOf(cluster)
  const hash = await save(cluster, '/ipns/bad.example\n')
  await assert.rejects(cluster.sync.rules('no session', hash, 0), { code: 'STALE_SESSION' })
  await assert.rejects(cluster.sync.rules(session, hash, 1), { code: 'NOT_FOUND' })
  await deleteDenylist(cluster.db, 'own')
  await assert.rejects(cluster.sync.rules(session, hash, 0), { code: 'NOT_FOUND' })
})
