import { setTimeout as sleep } from 'node:timers/promises'
import type { Fetch } from '@libp2p/fetch'
import { TopicValidatorResult, type GossipSub, type Message } from '@libp2p/gossipsub'
import type { Libp2p, PeerId } from '@libp2p/interface'
import type { SingleKadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { asTheyCome } from '../core/as-they-come.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { KIB, MINUTE_MS } from '../core/units.ts'
import { gossipPort } from './gossip-port.ts'
import type { Log } from './log.ts'
import { paceGossip } from './pace-gossip.ts'
import { TopicFetches } from './topic-fetches.ts'
import { TopicMeetings } from './topic-meetings.ts'
import { TopicNews, type TopicValue } from './topic-news.ts'
import { readTopics, writeTopics } from './topics-file.ts'
import { TopicValues, type TopicKind } from './topic-values.ts'
import type { ValueRulesByNamespace } from './value-rules.ts'
import { WorkPace } from './work-pace.ts'

export interface TopicSettings {
  /** Keeps what topics we are in for the next start. @default they are forgotten */
  file?: string
  /** @default 10,000 */
  maxTopics?: number
}

export interface TopicParts {
  libp2p: Libp2p<{ dht: SingleKadDHT }>
  gossip: GossipSub
  fetch: Fetch
  rules: ValueRulesByNamespace
  settings: TopicSettings
  log: Log
}

interface Asking {
  signal: AbortSignal
}

/** With these a new peer is told 750 KB; go-libp2p-pubsub drops what is longer than 1 MiB. */
const MAX_TOPICS = 10_000
/** "Implementations MUST reject records larger than 10 KiB." */
const MAX_VALUE_BYTES = 10 * KIB
/** Half of what we take from one peer, so that peers of our kind keep up. */
const TOLD_PER_SECOND = 50
/** Topics that are joined because somebody asked: all peers are told of each. */
const JOINED_PER_SECOND = 10
/** Peers of a topic that one search asks. */
const ASKED_PEERS = 8
const SAVE_EVERY_MS = MINUTE_MS
/** "To convert a routing key to a topic: `/record/` and the key in base64url." */
const PREFIX = '/record/'
const NOTHING = new Uint8Array(0)

/**
 * Values over PubSub (https://specs.ipfs.tech/ipns/ipns-pubsub-router/): each key has a topic, whose members tell one
 * another newer values, and give a new member what they have when it asks (`/libp2p/fetch/0.0.1`). Only what the rules of
 * the key allow is taken or passed on, and only when it is newer than what is known here.
 */
export class Topics implements AsyncDisposable {
  readonly #parts: TopicParts
  readonly #values: TopicValues
  readonly #news = new TopicNews()
  readonly #fetches: TopicFetches
  readonly #meetings: TopicMeetings
  readonly #stopping = new AbortController()
  readonly #saving: Promise<void>
  readonly #joining = new WorkPace(JOINED_PER_SECOND)
  readonly #telling = new WorkPace(TOLD_PER_SECOND)
  #hasChanged = false

  private constructor(parts: TopicParts) {
    const { libp2p, gossip, fetch, rules, settings } = parts
    const { signal } = this.#stopping
    this.#parts = parts
    this.#values = new TopicValues({ rules, maxTopics: settings.maxTopics ?? MAX_TOPICS })
    this.#fetches = new TopicFetches({ libp2p, fetch, onValue: (key, value) => this.#relay(key, value), signal })
    this.#meetings = new TopicMeetings({
      libp2p,
      kindOf: (topic) => this.#values.kindOf(keyOf(topic)),
      members: (topic) => gossip.getSubscribers(topic).length,
      log: parts.log,
      signal,
    })
    const isOurs = (topic: string): boolean => gossip.topicValidators.has(topic)
    paceGossip(gossipPort(gossip), { isOurs, maxBytes: MAX_VALUE_BYTES, signal })
    gossip.addEventListener('subscription-change', ({ detail: { peerId, subscriptions } }) => {
      for (const { topic, subscribe } of subscriptions) if (subscribe) this.#meet(peerId, topic)
    })
    // Of a peer that is in more topics than are noted of it, this alone tells.
    gossip.addEventListener('gossipsub:graft', ({ detail: { peerId, topic } }) => {
      this.#meet(peerIdFromString(peerId), topic)
    })
    libp2p.addEventListener('peer:disconnect', ({ detail }) => this.#fetches.peerLeft(detail))
    for (const namespace of Object.keys(rules)) {
      fetch.registerLookupFunction(`/${namespace}/`, (key) => this.#values.newest(key))
    }
    this.#saving = this.#save()
  }

  /** Of a peer that has started. Joins the topics of the file. */
  static async open(parts: TopicParts): Promise<Topics> {
    const kept = parts.settings.file === undefined ? [] : await readTopics(parts.settings.file)
    const topics = new Topics(parts)
    for (const { key, kind } of kept) topics.follow(key, kind)
    return topics
  }

  /** Topics that we are in. */
  get size(): number {
    return this.#values.size
  }

  /** Joins the topic of a key, or stays in it; the one that was needed longest ago is left when there are too many. */
  follow(key: Uint8Array, kind: TopicKind): void {
    const { gossip } = this.#parts
    const before = this.#values.kindOf(key)
    const gone = this.#values.need(key, kind)
    for (const old of gone) {
      gossip.unsubscribe(topicOf(old))
      gossip.topicValidators.delete(topicOf(old))
    }
    const now = this.#values.kindOf(key) ?? kind
    this.#meetings.meetSoon(topicOf(key), now)
    if (now !== before) this.#hasChanged = true
    if (before !== undefined) return
    gossip.topicValidators.set(topicOf(key), (_from, message) => this.#judge(message))
    gossip.subscribe(topicOf(key))
  }

  /**
   * Joins the topic and tells its members a value.
   * @returns how many peers were sent it; those that join later ask for it
   * @throws CONFLICT when a newer value is known; what the rules of the key say of it, BAD_REQUEST when there are none
   */
  async publish(key: Uint8Array, value: Uint8Array, { signal }: Asking): Promise<number> {
    this.#values.check(key, value)
    this.follow(key, 'told')
    if ((await this.#values.take(key, value)) < 0) throw new HoldfastError('CONFLICT', 'A newer value is known.')
    signal.throwIfAborted()
    return await this.#tell(key, value)
  }

  /**
   * Answers the newest value that is known here, then newer ones that members of the topic have; it ends when those that
   * were asked have said what they have. The topic is joined, unless many others have been just now.
   */
  async *find(key: Uint8Array, { signal }: Asking): AsyncGenerator<Uint8Array, void> {
    let given = await this.#values.newest(key)
    if (this.#values.kindOf(key) !== undefined || this.#joining.takeNow(1)) this.follow(key, 'asked')
    if (given !== undefined) yield given
    const members = someOf(this.#parts.gossip.getSubscribers(topicOf(key)), ASKED_PEERS)
    for await (const value of asTheyCome(members.map((peer) => this.#fetches.ask(peer, key, signal)))) {
      signal.throwIfAborted()
      const isNew = value !== undefined && (await this.#takeNew(key, value).catch(() => false))
      // Who joins a topic asks its members on its own, too: the same value may have come that way.
      const newest = await this.#values.newest(key)
      if (newest !== undefined && Buffer.compare(newest, given ?? NOTHING) !== 0) yield newest
      given = newest
      if (isNew) await this.#tell(key, value)
    }
  }

  /** Newer values of the topics that we are in, as they come. */
  hear({ signal }: Asking): AsyncGenerator<TopicValue, void> {
    return this.#news.hear(AbortSignal.any([signal, this.#stopping.signal]))
  }

  /** To be called while the peer still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await Promise.all([this.#saving, this.#meetings.ended()])
  }

  /** A peer is in a topic now. */
  #meet(peer: PeerId, topic: string): void {
    if (this.#parts.gossip.topicValidators.has(topic)) this.#fetches.askSoon(peer, keyOf(topic))
  }

  /** A message is passed on only when it holds a newer value than any before. */
  async #judge({ topic, data }: Message): Promise<TopicValidatorResult> {
    try {
      const isNew = await this.#takeNew(keyOf(topic), data)
      return isNew ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
    } catch (error) {
      if (hasCode(error)) return TopicValidatorResult.Reject
      this.#parts.log.error({ err: error, topic }, 'a message could not be judged by a defect')
      return TopicValidatorResult.Ignore
    }
  }

  /** What a new member has is told to the others when it is newer. @throws when it is no value of the key */
  async #relay(key: Uint8Array, value: Uint8Array): Promise<void> {
    if (await this.#takeNew(key, value)) await this.#tell(key, value)
  }

  /** @returns whether it is newer than what was known here @throws when it is no value of the key */
  async #takeNew(key: Uint8Array, value: Uint8Array): Promise<boolean> {
    if ((await this.#values.take(key, value)) <= 0) return false
    this.#news.tell({ key, value: new Uint8Array(value) })
    return true
  }

  async #tell(key: Uint8Array, value: Uint8Array): Promise<number> {
    await this.#telling.take(1, this.#stopping.signal)
    try {
      return (await this.#parts.gossip.publish(topicOf(key), value)).recipients.length
    } catch (cause) {
      throw new HoldfastError('UNAVAILABLE', 'PubSub does not take messages just now.', { cause })
    }
  }

  async #save(): Promise<void> {
    const { signal } = this.#stopping
    const { settings, log } = this.#parts
    while (!signal.aborted) {
      await sleep(SAVE_EVERY_MS, undefined, { signal, ref: false }).catch(() => {})
      if (settings.file === undefined || !this.#hasChanged) continue
      this.#hasChanged = false
      await writeTopics(settings.file, this.#values.entries()).catch((err: unknown) => {
        log.warn({ err }, 'the topics cannot be kept for the next start')
      })
    }
  }
}

function topicOf(key: Uint8Array): string {
  return PREFIX + Buffer.from(key).toString('base64url')
}

function keyOf(topic: string): Uint8Array {
  return Buffer.from(topic.slice(PREFIX.length), 'base64url')
}

/** A few of many, by chance. */
function someOf<T>(all: readonly T[], count: number): T[] {
  const left = [...all]
  const some: T[] = []
  while (some.length < count && left.length > 0) {
    some.push(...left.splice(Math.floor(Math.random() * left.length), 1))
  }
  return some
}
