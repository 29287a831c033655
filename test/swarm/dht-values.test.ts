import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { hasCode } from '../../services/core/errors.ts'
import { routingKeyOf } from '../../services/core/routing-key.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { ipnsValues } from '../../services/naming/dht-values.ts'
import { decodeIpnsRecord, type IpnsRecord } from '../../services/naming/ipns-record.ts'
import { generateSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import { supervisePeer } from '../../services/node/peer-process.ts'
import type { Peer } from '../../services/swarm/peer.ts'
import { findValues, putValue } from '../../services/swarm/values.ts'
import { failsWith } from '../support/dag.ts'
import { CONTENT } from '../support/naming.ts'
import { openTestNode, peerCommand } from '../support/peer-command.ts'
import { loopbackSettings, openTestPeer, silentLog, type TestPeer } from '../support/test-peer.ts'
import { until } from '../support/until.ts'

/** IPNS records in a DHT of peers in one process, and in that of a peer process. */

const { signal } = new AbortController()

function record(key: SigningKey, sequence: bigint, validForMs = 3_600_000): IpnsRecord {
  const validUntilMs = Date.now() + validForMs
  return createIpnsRecord(key, { value: CONTENT, sequence, validUntilMs, ttlMs: 60_000 })
}

/** Connects a peer to the others, so that each has the other in its routing table. */
async function meet(one: TestPeer, ...others: TestPeer[]): Promise<void> {
  for (const other of others) {
    await one.peer.libp2p.dial(multiaddr(other.address))
    await until('company', () => sizeOf(other) >= 1)
  }
  await until('company', () => sizeOf(one) >= others.length)
}

function sizeOf({ peer }: TestPeer): number {
  return peer.libp2p.services.dht.routingTable.size
}

async function sequencesAt(peer: Peer, key: SigningKey): Promise<bigint[]> {
  const values = await Array.fromAsync(findValues(peer, routingKeyOf(key.name), { signal }))
  return values.map((value) => decodeIpnsRecord(value).sequence).toSorted((a, b) => Number(a - b))
}

function put(peer: Peer, key: SigningKey, { bytes }: IpnsRecord): Promise<number> {
  return putValue(peer, routingKeyOf(key.name), bytes, { signal })
}

test('a record that one peer puts is found by the others', { timeout: 60_000 }, async () => {
  await using publisher = await openTestPeer()
  await using keeper = await openTestPeer()
  await using reader = await openTestPeer()
  await meet(keeper, publisher, reader)
  const key = generateSigningKey()
  assert.deepEqual(await sequencesAt(reader.peer, key), [])
  assert.ok((await put(publisher.peer, key, record(key, 1n))) >= 1)
  assert.deepEqual(await sequencesAt(reader.peer, key), [1n])
  await put(publisher.peer, key, record(key, 2n))
  assert.deepEqual(await sequencesAt(reader.peer, key), [2n])
})

test('an older record is refused where a newer one is, and comes back nowhere', { timeout: 60_000 }, async () => {
  await using keeper = await openTestPeer()
  await using attacker = await openTestPeer()
  await using reader = await openTestPeer()
  const key = generateSigningKey()
  const [old, newer] = [record(key, 4n), record(key, 5n)]
  await meet(keeper, attacker, reader)
  await put(reader.peer, key, newer)
  await assert.rejects(put(attacker.peer, key, old), (error) => hasCode(error, 'CONFLICT', 'UNAVAILABLE'))
  await using stranger = await openTestPeer()
  await meet(stranger, keeper)
  await put(stranger.peer, key, old).catch(() => {})
  assert.equal((await sequencesAt(keeper.peer, key)).at(-1), 5n)
  assert.deepEqual(await sequencesAt(keeper.peer, key), [5n], 'who asks tells the newer one to those that lack it')
})

test('what is forged or has ended is stored by nobody', { timeout: 60_000 }, async () => {
  await using keeper = await openTestPeer()
  await using attacker = await openTestPeer()
  await meet(keeper, attacker)
  const [key, stranger] = [generateSigningKey(), generateSigningKey()]
  await assert.rejects(put(attacker.peer, key, record(stranger, 9n)), failsWith('INVALID_RECORD'))
  await assert.rejects(put(attacker.peer, key, record(key, 9n, -1)), failsWith('INVALID_RECORD'))
  const other = Buffer.from('/other/key')
  await assert.rejects(putValue(attacker.peer, other, Buffer.from('value'), { signal }), failsWith('BAD_REQUEST'))
  // A peer that keeps to no rules gets as far as the others.
  const { dht } = loopbackSettings()
  const lax = { check: () => {}, compare: () => 0 }
  await using lawless = await openTestPeer({ dht: { ...dht, values: { ipns: lax } } })
  await meet(lawless, keeper)
  for (const lie of [record(stranger, 9n), record(key, 9n, -1)]) {
    await assert.rejects(put(lawless.peer, key, lie), failsWith('UNAVAILABLE'))
  }
  assert.deepEqual(await sequencesAt(keeper.peer, key), [])
})

test('what a node has on its disk is found at once, without having been put', { timeout: 60_000 }, async () => {
  const key = generateSigningKey()
  let { bytes } = record(key, 3n)
  const disk = { label: 'disk', get: () => Promise.resolve(bytes) }
  const { dht } = loopbackSettings()
  await using node = await openTestPeer({ dht: { ...dht, values: { ipns: ipnsValues([disk]) } } })
  await using reader = await openTestPeer()
  await meet(node, reader)
  assert.deepEqual(await sequencesAt(reader.peer, key), [3n])
  bytes = record(key, 4n, -1).bytes
  const other = generateSigningKey()
  assert.deepEqual(await sequencesAt(reader.peer, other), [], "a record of another name's file is not given")
})

test('a put that reaches nobody is a failure', { timeout: 60_000 }, async () => {
  await using alone = await openTestPeer()
  const key = generateSigningKey()
  await assert.rejects(put(alone.peer, key, record(key, 1n)), failsWith('UNAVAILABLE'))
})

test('through the peer process records are put and found, and failures say why', { timeout: 60_000 }, async () => {
  await using keeper = await openTestPeer()
  await using node = await openTestNode()
  const { socketPath, storeFolder } = node
  await using supervised = supervisePeer(peerCommand({ socketPath, storeFolder }), { log: silentLog })
  await supervised.ready()
  const { client } = supervised
  const key = generateSigningKey()
  const routingKey = routingKeyOf(key.name)
  const find = (): Promise<Uint8Array[]> => Array.fromAsync(client.findValues(routingKey))
  assert.deepEqual(await find(), [])
  await assert.rejects(client.putValue(routingKey, record(key, 1n).bytes), failsWith('UNAVAILABLE'))
  await client.connect([keeper.address])
  await until('company', async () => (await client.status()).dhtPeers > 0)
  const { bytes } = record(key, 2n)
  assert.equal(await client.putValue(routingKey, bytes), 1)
  assert.deepEqual(await sequencesAt(keeper.peer, key), [2n])
  assert.deepEqual(await find(), [Buffer.from(bytes)])
  await assert.rejects(client.putValue(routingKey, record(key, 1n).bytes), failsWith('CONFLICT'))
  await assert.rejects(client.putValue(routingKey, new Uint8Array(100_000)), failsWith('BAD_REQUEST'))
  const stop = AbortSignal.abort(new Error('no more'))
  await assert.rejects(client.putValue(routingKey, bytes, { signal: stop }), /no more/)
  // This one has no PubSub.
  await assert.rejects(client.publishValue(routingKey, bytes), failsWith('NOT_IMPLEMENTED'))
  await assert.rejects(client.hearTopics().next(), failsWith('NOT_IMPLEMENTED'))
  await supervised[Symbol.asyncDispose]()
  await assert.rejects(find(), (error) => hasCode(error, 'UNAVAILABLE'))
})
