import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { RAW } from '../../services/core/cid.ts'
import { routingKeyOf } from '../../services/core/routing-key.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { parseIpnsName } from '../../services/naming/ipns-name.ts'
import { decodeIpnsRecord } from '../../services/naming/ipns-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { CONTENT } from '../support/naming.ts'
import { spawnPlainHelia } from '../support/spawn-plain-helia.ts'
import { loopbackSettings, openTestPeer } from '../support/test-peer.ts'
import { topicOf } from '../support/stranger-in-topics.ts'
import { until } from '../support/until.ts'

/** IPNS records between our peers and plain Helia nodes, in processes of their own, by PubSub and nothing else. */

const { signal } = new AbortController()
const CID_OF_CONTENT = CID.parse(CONTENT.slice('/ipfs/'.length))

test('a plain Helia node resolves by PubSub what our peer published, and the newer record after it', async () => {
  await using ours = await openTestPeer({ pubsub: {} })
  await using helia = await spawnPlainHelia({ isPubSubAlone: true })
  await helia.connect(ours.address)
  const key = generateSigningKey()
  const publish = async (sequence: bigint, value: string): Promise<number | undefined> => {
    const record = createIpnsRecord(key, { value, sequence, validUntilMs: Date.now() + 3_600_000, ttlMs: 60_000 })
    return await ours.peer.topics?.publish(routingKeyOf(key.name), record.bytes, { signal })
  }
  assert.equal(await publish(1n, CONTENT), 0)
  await until('Helia to know that we are in the topic', async () =>
    (await helia.topicMembers(topicOf(routingKeyOf(key.name)))).includes(ours.peer.id.toString()),
  )
  assert.equal(await helia.resolveName(key.name.text), CONTENT, 'who joins later asks for it')
  assert.equal(await publish(2n, '/ipfs/bafkqaaa'), 1)
  assert.equal(await helia.resolveName(key.name.text), '/ipfs/bafkqaaa')
})

test('what a plain Helia node publishes comes to our peer as a message, and to others that ask us', async () => {
  await using ours = await openTestPeer({ pubsub: {} })
  await using reader = await spawnPlainHelia({ isPubSubAlone: true })
  let name: string
  {
    await using owner = await spawnPlainHelia({ isPubSubAlone: true })
    await owner.connect(ours.address)
    name = await owner.publishName('site', CID_OF_CONTENT)
    const key = routingKeyOf(parseIpnsName(name))
    const topics = ours.peer.topics ?? assert.fail('no topics')
    assert.deepEqual(
      await Array.fromAsync(topics.find(key, { signal })),
      [],
      'its owner is in the topic only to publish',
    )
    await until('the owner to know that we are in the topic', async () =>
      (await owner.topicMembers(topicOf(routingKeyOf(parseIpnsName(name))))).includes(ours.peer.id.toString()),
    )
    const news = topics.hear({ signal })
    const heard = news.next()
    await owner.publishName('site', CID.parse('bafkqaaa'))
    const { value, done } = await heard
    assert.ok(done !== true)
    assert.deepEqual(Buffer.from(value.key), Buffer.from(key))
    const record = decodeIpnsRecord(value.value)
    assert.equal(Buffer.from(record.value).toString(), '/ipfs/bafkqaaa')
    assert.equal(record.sequence, 2n)
    assert.deepEqual(await Array.fromAsync(topics.find(key, { signal })), [value.value])
    await news.return()
  }
  await reader.connect(ours.address)
  await until('the reader to know that we are in the topic', async () =>
    (await reader.topicMembers(topicOf(routingKeyOf(parseIpnsName(name))))).includes(ours.peer.id.toString()),
  )
  assert.equal(await reader.resolveName(name), '/ipfs/bafkqaaa', 'its owner has gone')
})

test('members of a topic that do not know one another meet by the DHT', async () => {
  await using between = await openTestPeer()
  // As a client of the DHT it is in nobody's routing table, so that nothing else brings the two together.
  await using ours = await openTestPeer({ pubsub: {}, dht: { ...loopbackSettings().dht, mode: 'client' } })
  await ours.peer.libp2p.dial(multiaddr(between.address))
  const key = generateSigningKey()
  const routingKey = routingKeyOf(key.name)
  const record = createIpnsRecord(key, { value: CONTENT, sequence: 1n, validUntilMs: Date.now() + 3_600_000, ttlMs: 1 })
  assert.equal(await ours.peer.topics?.publish(routingKey, record.bytes, { signal }), 0)
  const place = CID.createV1(RAW, await sha256.digest(Buffer.from(`floodsub:${topicOf(routingKey)}`)))
  await until('the meeting place to be known', async () => {
    for await (const { id } of between.peer.libp2p.contentRouting.findProviders(place)) return id.equals(ours.peer.id)
    return false
  })

  await using other = await openTestPeer({ pubsub: {} })
  const topics = other.peer.topics ?? assert.fail('no topics')
  await other.peer.libp2p.dial(multiaddr(between.address))
  const news = topics.hear({ signal })
  const heard = news.next()
  assert.deepEqual(await Array.fromAsync(topics.find(routingKey, { signal })), [], 'it is connected with no member')
  const { value } = await heard
  assert.deepEqual(value?.value, new Uint8Array(record.bytes))
  await news.return()
})
