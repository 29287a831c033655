import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import type { Sql } from '../../services/catalog/database.ts'
import { hasCode } from '../../services/core/errors.ts'
import type { NodeIdentity } from '../../services/core/node-key.ts'
import { routingKeyOf } from '../../services/core/routing-key.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { dhtValues } from '../../services/node/network-values.ts'
import { dhtTarget } from '../../services/republisher/dht-target.ts'
import { NodePuts } from '../../services/republisher/node-puts.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import { findValues, putValue } from '../../services/swarm/values.ts'
import type { PeerRole } from '../../services/transfer/directory.ts'
import { openTransferServer } from '../../services/transfer/server.ts'
import { failsWith } from '../support/dag.ts'
import { CONTENT } from '../support/naming.ts'
import { addNode } from '../support/node-rows.ts'
import { freshDatabase } from '../support/postgres.ts'
import { openTestPeer, type TestPeer } from '../support/test-peer.ts'
import { until } from '../support/until.ts'

/** The way of a record from the control plane over a node's listener to the DHT. */

const { signal } = new AbortController()

function refused(error: unknown): boolean {
  return hasCode(error, 'UPSTREAM_FAILED', 'NO_NODE_AVAILABLE')
}

async function identities(count: number): Promise<AsyncDisposable & { identities: NodeIdentity[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-keys-'))
  const keys = Array.from({ length: count }, (_, index) => loadIdentity(join(folder, `${index}.pem`)))
  return {
    identities: await Promise.all(keys),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

interface ListenerOptions {
  identity: NodeIdentity
  /** What the listener takes every caller for. */
  role: PeerRole | undefined
}

/** A node's listener over a real peer, and its row. */
async function openListener(
  db: Sql,
  { peer, store }: TestPeer,
  { identity, role }: ListenerOptions,
): Promise<AsyncDisposable> {
  const server = await openTransferServer({
    store: store.blocks,
    identity,
    directory: { node: () => undefined, roleOf: () => role },
    host: '127.0.0.1',
    port: 0,
    routes: [dhtValues({ putValue: (key, value, options) => putValue(peer, key, value, { signal, ...options }) })],
  })
  await addNode(db, {
    name: `n${server.port}`,
    region: 'x',
    publicKey: identity.publicKey,
    transfer: `127.0.0.1:${server.port}`,
  })
  return server
}

async function meet(one: TestPeer, other: TestPeer): Promise<void> {
  await one.peer.libp2p.dial(multiaddr(other.address))
  const isInTable = ({ peer }: TestPeer): boolean => peer.libp2p.services.dht.routingTable.size > 0
  await until('each in the routing table of the other', () => isInTable(one) && isInTable(other))
}

test('a node puts a record to the DHT for the control plane; one that is dead is passed over', async () => {
  await using db = await freshDatabase()
  await using keys = await identities(2)
  const [controller, node] = keys.identities
  assert.ok(controller && node)
  await using ours = await openTestPeer()
  await using other = await openTestPeer()
  await using stack = new AsyncDisposableStack()
  stack.use(await openListener(db, ours, { identity: node, role: 'controller' }))
  await addNode(db, { name: 'dead', region: 'x' })
  using puts = new NodePuts(controller)
  const target = dhtTarget(db, puts)
  const key = generateSigningKey()
  const wanted = { value: CONTENT, validUntilMs: Date.now() + 3_600_000, ttlMs: 60_000 }
  const record = createIpnsRecord(key, { ...wanted, sequence: 1n })

  await assert.rejects(target.put(key.name, record.bytes, { signal }), refused)
  await meet(ours, other)
  // Either node may be asked first.
  for (let time = 0; time < 8; time++) assert.equal(await target.put(key.name, record.bytes, { signal }), 1)
  const [found] = await Array.fromAsync(findValues(other.peer, routingKeyOf(key.name), { signal }))
  assert.deepEqual(found && Buffer.from(found), Buffer.from(record.bytes))

  const forged = createIpnsRecord(generateSigningKey(), { ...wanted, sequence: 2n })
  const large = Buffer.alloc(10_241)
  for (const bytes of [forged.bytes, large]) {
    await assert.rejects(target.put(key.name, bytes, { signal }), failsWith('UPSTREAM_FAILED'))
  }
})

test('only a controller may have records put, and only by the node with the key that is known', async () => {
  await using keys = await identities(3)
  const [controller, node, impostor] = keys.identities
  assert.ok(controller && node && impostor)
  await using ours = await openTestPeer()
  const { name } = generateSigningKey()
  for (const role of ['node', undefined] as const) {
    await using db = await freshDatabase()
    await using stack = new AsyncDisposableStack()
    stack.use(await openListener(db, ours, { identity: node, role }))
    using puts = new NodePuts(controller)
    const target = dhtTarget(db, puts)
    await assert.rejects(target.put(name, Buffer.from('x'), { signal }), refused)
  }
  await using db = await freshDatabase()
  await using stack = new AsyncDisposableStack()
  stack.use(await openListener(db, ours, { identity: node, role: 'controller' }))
  await db.run('update node set public_key = $1', [Buffer.from(impostor.publicKey, 'base64url')])
  using puts = new NodePuts(controller)
  const target = dhtTarget(db, puts)
  await assert.rejects(target.put(name, Buffer.from('x'), { signal }), failsWith('NO_NODE_AVAILABLE'))
})
