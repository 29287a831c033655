import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Sql } from '../../services/catalog/database.ts'
import type { NodeIdentity } from '../../services/core/node-key.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import { topicValues } from '../../services/node/network-values.ts'
import { pubsubTarget } from '../../services/republisher/pubsub-target.ts'
import { NodePuts } from '../../services/republisher/node-puts.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import { openTransferServer } from '../../services/transfer/server.ts'
import { failsWith } from '../support/dag.ts'
import { CONTENT } from '../support/naming.ts'
import { addNode } from '../support/node-rows.ts'
import { freshDatabase } from '../support/postgres.ts'
import { openTestPeer } from '../support/test-peer.ts'

/** The way of a record from the control plane over the listeners of nodes to the topic of its name. */

const { signal } = new AbortController()

function recordOf(key: SigningKey, sequence: bigint): Uint8Array {
  return createIpnsRecord(key, { value: CONTENT, sequence, validUntilMs: Date.now() + 3_600_000, ttlMs: 60_000 }).bytes
}

interface Listener extends AsyncDisposable {
  row: string
  /** Topics that its peer is in. */
  topics: () => number
}

/** A node's listener over a real peer, and its row. */
async function openListener(db: Sql, identity: NodeIdentity): Promise<Listener> {
  await using opened = new AsyncDisposableStack()
  const { peer, store } = opened.use(await openTestPeer({ pubsub: {} }))
  const topics = peer.topics ?? assert.fail('no topics')
  const server = opened.use(
    await openTransferServer({
      store: store.blocks,
      identity,
      directory: { node: () => undefined, roleOf: () => 'controller' },
      host: '127.0.0.1',
      port: 0,
      routes: [
        topicValues({ publishValue: (key, value, options) => topics.publish(key, value, { signal, ...options }) }),
      ],
    }),
  )
  const row = `n${server.port}`
  await addNode(db, {
    name: row,
    region: 'x',
    publicKey: identity.publicKey,
    transfer: `127.0.0.1:${server.port}`,
  })
  const owned = opened.move()
  return { row, topics: () => topics.size, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('each name is told by two of the nodes that are up, by the same ones again, and by others when those are down', async () => {
  await using db = await freshDatabase()
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-keys-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const identity = (name: string): Promise<NodeIdentity> => loadIdentity(join(folder, `${name}.pem`))
  using puts = new NodePuts(await identity('controller'))
  const target = pubsubTarget(db, puts)
  const key = generateSigningKey()
  await assert.rejects(target.put(key.name, recordOf(key, 1n), { signal }), failsWith('NO_NODE_AVAILABLE'))

  const listeners: Listener[] = []
  for (const name of ['a', 'b', 'c', 'd']) listeners.push(stack.use(await openListener(db, await identity(name))))
  const carriers = (): string[] => listeners.filter(({ topics }) => topics() > 0).map(({ row }) => row)
  await target.put(key.name, recordOf(key, 1n), { signal })
  const first = carriers()
  assert.equal(first.length, 2)
  await target.put(key.name, recordOf(key, 2n), { signal })
  assert.deepEqual(carriers(), first)
  await assert.rejects(
    target.put(key.name, recordOf(key, 1n), { signal }),
    failsWith('UPSTREAM_FAILED'),
    'an older one',
  )

  await db.run(`update node set liveness = 'down' where name = any ($1)`, [first])
  await target.put(key.name, recordOf(key, 2n), { signal })
  assert.equal(carriers().length, 4)
  await db.run(`update node set liveness = 'up', transfer = '127.0.0.1:1' where name = any ($1)`, [first.slice(0, 1)])
  await db.run(`update node set liveness = 'up' where name = any ($1)`, [first])
  assert.equal(await target.put(key.name, recordOf(key, 3n), { signal }), 0, 'one of the two is enough')
})
