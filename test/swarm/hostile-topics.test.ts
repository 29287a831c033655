import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { routingKeyOf } from '../../services/core/routing-key.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { ipnsValues } from '../../services/naming/dht-values.ts'
import { decodeIpnsRecord, type IpnsRecord } from '../../services/naming/ipns-record.ts'
import { generateSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import type { TopicSettings, Topics } from '../../services/swarm/topics.ts'
import { CONTENT } from '../support/naming.ts'
import { openStranger, topicOf, type StrangerInTopics } from '../support/stranger-in-topics.ts'
import { loopbackSettings, openTestPeer, type TestPeer } from '../support/test-peer.ts'
import { until } from '../support/until.ts'

/** What peers that keep to no rules can do to one of ours by PubSub. */

const { signal } = new AbortController()

function record(key: SigningKey, sequence: bigint, validForMs = 3_600_000): IpnsRecord {
  return createIpnsRecord(key, { value: CONTENT, sequence, validUntilMs: Date.now() + validForMs, ttlMs: 60_000 })
}

/** One of our peers, which counts what it checks. */
async function openOurs(pubsub: TopicSettings = {}): Promise<TestPeer & { topics: Topics; checks: () => number }> {
  let checks = 0
  const rules = ipnsValues()
  const check: typeof rules.check = (key, value) => {
    checks += 1
    rules.check(key, value)
  }
  const { dht } = loopbackSettings()
  const ours = await openTestPeer({ pubsub, dht: { ...dht, values: { ipns: { ...rules, check } } } })
  return { ...ours, topics: ours.peer.topics ?? assert.fail('no topics'), checks: () => checks }
}

/** A stranger that is connected with our peer and knows that it is in the topic. */
async function inTopic({ peer, address }: TestPeer, topic: string): Promise<StrangerInTopics> {
  const stranger = await openStranger()
  stranger.gossip.subscribe(topic)
  await stranger.connect(address)
  await until('each to know that the other is in the topic', () => {
    const theirs = stranger.gossip.getSubscribers(topic)
    const mine = peer.libp2p.services.pubsub?.getSubscribers(topic) ?? []
    return theirs.some((one) => one.equals(peer.id)) && mine.some((one) => one.toString() === stranger.id)
  })
  return stranger
}

function sequencesOf(values: readonly Uint8Array[]): bigint[] {
  return values.map((value) => decodeIpnsRecord(value).sequence)
}

test(
  'what is forged, spoiled, too large, too old or has ended is neither taken nor passed on',
  { timeout: 60_000 },
  async () => {
    const [key, other] = [generateSigningKey(), generateSigningKey()]
    await using ours = await openOurs()
    ours.topics.follow(routingKeyOf(key.name), 'asked')
    const topic = topicOf(routingKeyOf(key.name))
    await using liar = await inTopic(ours, topic)
    await using listener = await inTopic(ours, topic)
    const spoiled = Buffer.from(record(key, 9n).bytes)
    spoiled[spoiled.length - 1] = (spoiled.at(-1) ?? 0) ^ 1
    const lies = [
      record(other, 9n).bytes,
      spoiled,
      Buffer.concat([record(key, 9n).bytes, Buffer.alloc(10_241)]),
      record(key, 9n, -1).bytes,
      randomBytes(300),
      new Uint8Array(0),
    ]
    for (const lie of lies) await liar.gossip.publish(topic, lie)
    await liar.gossip.publish(topic, record(key, 5n).bytes)
    await until('the record that is none of them', () => listener.heard.length > 0)
    for (const lie of [...lies, record(key, 4n).bytes]) await liar.gossip.publish(topic, lie)
    await liar.gossip.publish(topic, record(key, 6n).bytes)
    await until('the record after it', () => listener.heard.length > 1)
    assert.deepEqual(sequencesOf(listener.heard), [5n, 6n])
    assert.deepEqual(sequencesOf(await Array.fromAsync(ours.topics.find(routingKeyOf(key.name), { signal }))), [6n])
  },
)

test(
  'who is asked for what it has can lie, keep silent or send a megabyte, and changes nothing',
  { timeout: 60_000 },
  async () => {
    const [key, other] = [generateSigningKey(), generateSigningKey()]
    await using ours = await openOurs()
    ours.topics.follow(routingKeyOf(key.name), 'asked')
    const topic = topicOf(routingKeyOf(key.name))
    const answers = [record(other, 9n).bytes, record(key, 9n, -1).bytes, randomBytes(1_048_576), undefined]
    await using strangers = new AsyncDisposableStack()
    for (const answer of answers) {
      const stranger = strangers.use(await openStranger())
      const answered = answer === undefined ? new Promise<undefined>(() => {}) : Promise.resolve(answer)
      stranger.fetch.registerLookupFunction('/ipns/', () => answered)
      stranger.gossip.subscribe(topic)
      await stranger.connect(ours.address)
    }
    await until(
      'all in the topic',
      () => ours.peer.libp2p.services.pubsub?.getSubscribers(topic).length === answers.length,
    )
    assert.deepEqual(await Array.fromAsync(ours.topics.find(routingKeyOf(key.name), { signal })), [])
    const honest = strangers.use(await openStranger())
    honest.fetch.registerLookupFunction('/ipns/', () => Promise.resolve(record(key, 2n).bytes))
    const news = ours.topics.hear({ signal })
    const heard = news.next()
    honest.gossip.subscribe(topic)
    await honest.connect(ours.address)
    const { value } = await heard
    assert.equal(value && decodeIpnsRecord(value.value).sequence, 2n, 'who joins is asked')
    await news.return()
  },
)

test(
  'while one peer floods a topic another is heard, and the flood is checked at its rate',
  { timeout: 60_000 },
  async () => {
    const key = generateSigningKey()
    await using ours = await openOurs()
    ours.topics.follow(routingKeyOf(key.name), 'asked')
    const topic = topicOf(routingKeyOf(key.name))
    await using flooder = await inTopic(ours, topic)
    await using owner = await inTopic(ours, topic)
    const known = record(key, 1n).bytes
    const beganAt = performance.now()
    for (let count = 0; count < 2_000; count++) await flooder.gossip.publish(topic, known)
    await owner.gossip.publish(topic, record(key, 2n).bytes)
    const news = ours.topics.hear({ signal })
    for await (const { value } of news) if (decodeIpnsRecord(value).sequence === 2n) break
    assert.ok(ours.checks() < 1_000, 'the flood is not over')
    await until('the flood to go on', () => ours.checks() >= 400)
    const seconds = (performance.now() - beganAt) / 1_000
    assert.ok(ours.checks() <= 210 + 100 * seconds, `${ours.checks()} were checked within ${seconds} s`)
  },
)

test(
  'messages of topics that we are not in are dropped before anything is done with them',
  { timeout: 60_000 },
  async () => {
    const [key, other] = [generateSigningKey(), generateSigningKey()]
    const [topic, left] = [topicOf(routingKeyOf(key.name)), topicOf(routingKeyOf(other.name))]
    await using ours = await openOurs()
    ours.topics.follow(routingKeyOf(key.name), 'asked')
    await using stranger = await inTopic(ours, topic)
    ours.topics.follow(routingKeyOf(other.name), 'asked')
    await until('the stranger to know both topics', () => stranger.gossip.getSubscribers(left).length > 0)
    // The stranger does not know yet, and goes on as if we were in it.
    const gossip = ours.peer.libp2p.services.pubsub ?? assert.fail('no PubSub')
    gossip.topicValidators.delete(left)
    const heard: string[] = []
    gossip.addEventListener('message', ({ detail }) => void heard.push(detail.topic))
    for (let count = 0; count < 40; count++) await stranger.gossip.publish(left, record(other, 1n).bytes)
    await stranger.gossip.publish(topic, record(key, 1n).bytes)
    await until('the record of our topic', () => heard.length > 0)
    assert.deepEqual(heard, [topic])
  },
)

test(
  'of a peer that is in thousands of topics a bounded part is noted, and what it says in ours is heard',
  { timeout: 60_000 },
  async () => {
    const key = generateSigningKey()
    await using ours = await openOurs()
    await using stranger = await openStranger()
    for (let count = 0; count < 4_000; count++)
      stranger.gossip.subscribe(`/record/${randomBytes(32).toString('base64url')}`)
    stranger.gossip.subscribe(topicOf(routingKeyOf(key.name)))
    await stranger.connect(ours.address)
    const { topics } = ours.peer.libp2p.services.pubsub as unknown as { topics: Map<string, unknown> }
    await until('some of its topics', () => topics.size > 0)
    ours.topics.follow(routingKeyOf(key.name), 'asked')
    await until(
      'the stranger to know that we are in the topic',
      () => stranger.gossip.getSubscribers(topicOf(routingKeyOf(key.name))).length > 0,
    )
    const news = ours.topics.hear({ signal })
    const heard = news.next()
    await stranger.gossip.publish(topicOf(routingKeyOf(key.name)), record(key, 1n).bytes)
    const { value } = await heard
    assert.equal(value && decodeIpnsRecord(value.value).sequence, 1n)
    assert.ok(topics.size <= 512, `${topics.size} topics are noted`)
    await news.return()
  },
)

test(
  'of too many topics those that we tell and that were needed last are kept, also over a restart',
  { timeout: 60_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-topics-'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(folder, { recursive: true }))
    const pubsub = { file: join(folder, 'topics'), maxTopics: 4 }
    const keys = Array.from({ length: 5 }, () => routingKeyOf(generateSigningKey().name))
    const [first, second, third, ...later] = keys
    assert.ok(first && second && third)
    const kept = new Set([first, ...later].map(topicOf))
    const topicsOf = ({ peer }: TestPeer): Set<string> => new Set(peer.libp2p.services.pubsub?.getTopics())
    {
      await using ours = await openOurs(pubsub)
      for (const key of [first, second, third, first, ...later]) ours.topics.follow(key, 'told')
      const strangers = Array.from({ length: 5 }, () => routingKeyOf(generateSigningKey().name))
      for (const key of strangers) ours.topics.follow(key, 'asked')
      for (const key of strangers.slice(-1)) kept.add(topicOf(key))
      assert.deepEqual(topicsOf(ours), kept)
    }
    await using again = await openOurs(pubsub)
    assert.deepEqual(topicsOf(again), kept)
  },
)

test(
  'a peer that joins and leaves a topic over and over is asked once for what it has',
  { timeout: 60_000 },
  async () => {
    const key = generateSigningKey()
    await using ours = await openOurs()
    ours.topics.follow(routingKeyOf(key.name), 'asked')
    const topic = topicOf(routingKeyOf(key.name))
    let asked = 0
    await using stranger = await openStranger()
    stranger.fetch.registerLookupFunction('/ipns/', () => Promise.resolve(record(key, BigInt(++asked)).bytes))
    const news = ours.topics.hear({ signal })
    const heard = news.next()
    stranger.gossip.subscribe(topic)
    await stranger.connect(ours.address)
    await heard
    for (let count = 0; count < 100; count++) {
      stranger.gossip.unsubscribe(topic)
      stranger.gossip.subscribe(topic)
    }
    const again = news.next()
    await stranger.gossip.publish(topic, record(key, 1_000n).bytes)
    const { value } = await again
    assert.equal(value && decodeIpnsRecord(value.value).sequence, 1_000n)
    assert.equal(asked, 1)
    await news.return()
  },
)

test(
  'a peer that connects is told of the topics that we joined last, whatever their number',
  { timeout: 60_000 },
  async () => {
    await using ours = await openOurs()
    const keys = Array.from({ length: 6_000 }, () => Buffer.concat([Buffer.from('/ipns/'), randomBytes(38)]))
    for (const key of keys) ours.topics.follow(key, 'told')
    await using stranger = await openStranger()
    await stranger.connect(ours.address)
    for (const key of keys.slice(-900)) {
      await until('the stranger to know it', () => stranger.gossip.getSubscribers(topicOf(key)).length === 1)
    }
  },
)
