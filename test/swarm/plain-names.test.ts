import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { routingKeyOf } from '../../services/core/routing-key.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { parseIpnsName } from '../../services/naming/ipns-name.ts'
import { validateIpnsRecord } from '../../services/naming/ipns-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { findValues, putValue } from '../../services/swarm/values.ts'
import { CONTENT } from '../support/naming.ts'
import { spawnPlainHelia } from '../support/spawn-plain-helia.ts'
import { openTestPeer, type TestPeer } from '../support/test-peer.ts'
import { until } from '../support/until.ts'

/** IPNS records between our peers and plain Helia nodes, in processes of their own, by one DHT. */

const { signal } = new AbortController()
const CID_OF_CONTENT = CID.parse(CONTENT.slice('/ipfs/'.length))

function untilCompany({ peer }: TestPeer, size: number): Promise<unknown> {
  return until('company in the DHT', () => peer.libp2p.services.dht.routingTable.size >= size)
}

test('a plain Helia node in the DHT resolves what our peer put, and the newer record after it', async () => {
  await using ours = await openTestPeer()
  await using helia = await spawnPlainHelia()
  await helia.connect(ours.address)
  await untilCompany(ours, 1)
  const key = generateSigningKey('rsa')
  const publish = async (sequence: bigint, value: string): Promise<void> => {
    const record = createIpnsRecord(key, { value, sequence, validUntilMs: Date.now() + 3_600_000, ttlMs: 60_000 })
    assert.equal(await putValue(ours.peer, routingKeyOf(key.name), record.bytes, { signal }), 1)
  }
  await publish(1n, CONTENT)
  assert.equal(await helia.resolveName(key.name.text), CONTENT)
  await publish(2n, '/ipfs/bafkqaaa')
  assert.equal(await helia.resolveName(key.name.text), '/ipfs/bafkqaaa')
})

test('what a plain Helia node published is found by our peer, and by another node after its owner has gone', async () => {
  await using ours = await openTestPeer()
  await using other = await openTestPeer()
  let name: string
  {
    await using owner = await spawnPlainHelia()
    await owner.connect(ours.address)
    await untilCompany(ours, 1)
    name = await owner.publishName('site', CID_OF_CONTENT)
  }
  await using reader = await spawnPlainHelia()
  await reader.connect(ours.address)
  await reader.connect(other.address)
  await untilCompany(other, 1)
  assert.equal(await reader.resolveName(name), CONTENT)
  const key = parseIpnsName(name)
  const [found, ...more] = await Array.fromAsync(findValues(other.peer, routingKeyOf(key), { signal }))
  assert.equal(more.length, 0)
  assert.equal(Buffer.from(validateIpnsRecord(key, found ?? Buffer.alloc(0), Date.now()).value).toString(), CONTENT)
})
