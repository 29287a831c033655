import { setTimeout as sleep } from 'node:timers/promises'
import type { Libp2p } from '@libp2p/interface'
import type { SingleKadDHT } from '@libp2p/kad-dht'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { RAW } from '../core/cid.ts'
import { RecentMap } from '../core/recent-map.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import type { Log } from './log.ts'
import type { TopicKind } from './topic-values.ts'

/** Where go-libp2p-pubsub, and so Kubo, has the members of a topic meet: providers of the sha2-256 of this and the topic. */
const MEETING_PREFIX = 'floodsub:'
/** Each asks some twenty peers, and tells as many. */
const MEETINGS_AT_ONCE = 2
/** Topics that wait for theirs; further ones come when they are needed again. */
const MAX_WAITING = 4_096
/** Provider records live 48 hours in the public DHT. */
const ANNOUNCE_EVERY_MS = 22 * HOUR_MS
/** Members of a topic that somebody asked for are looked for again after this, when it is needed again. */
const SEEK_EVERY_MS = 10 * MINUTE_MS
const REMEMBERED = 16_384
/** A topic with so many members spreads messages by itself. */
const ENOUGH_MEMBERS = 4
/** Members of one topic that are connected with; more are found by them. */
const MAX_DIALLED = 4
const MAX_FOUND = 20
const WALK_MS = 30 * SECOND_MS
const DIAL_MS = 10 * SECOND_MS
const COMPANY_POLL_MS = SECOND_MS

export interface TopicMeetingsOptions {
  libp2p: Libp2p<{ dht: SingleKadDHT }>
  /** Why we are in a topic; undefined when we are not. */
  kindOf: (topic: string) => TopicKind | undefined
  /** Members that we are connected with. */
  members: (topic: string) => number
  log: Log
  signal: AbortSignal
}

/** Finds members of topics by the DHT, and is found there by them. */
export class TopicMeetings {
  readonly #options: TopicMeetingsOptions
  readonly #waiting = new Set<string>()
  readonly #soughtAt = new RecentMap<string, number>(REMEMBERED)
  readonly #announcedAt = new RecentMap<string, number>(REMEMBERED)
  readonly #running: Promise<unknown>
  #change = Promise.withResolvers<void>()

  constructor(options: TopicMeetingsOptions) {
    this.#options = options
    options.signal.addEventListener('abort', () => this.#changed())
    this.#running = Promise.all(Array.from({ length: MEETINGS_AT_ONCE }, () => this.#work()))
  }

  /** Has the topic's members met soon, unless that was done not long ago: who looks for one of our names finds us. */
  meetSoon(topic: string, kind: TopicKind): void {
    if (this.#waiting.size >= MAX_WAITING || !this.#isDue(topic, kind)) return
    this.#waiting.add(topic)
    this.#changed()
  }

  /** Resolves when nothing is under way any more, after the signal has aborted. */
  async ended(): Promise<void> {
    await this.#running
  }

  #changed(): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers<void>()
  }

  #isDue(topic: string, kind: TopicKind): boolean {
    const [times, everyMs] = kind === 'told' ? [this.#announcedAt, ANNOUNCE_EVERY_MS] : [this.#soughtAt, SEEK_EVERY_MS]
    return performance.now() - (times.get(topic) ?? Number.NEGATIVE_INFINITY) >= everyMs
  }

  async #work(): Promise<void> {
    const { signal, log, kindOf } = this.#options
    while (!signal.aborted) {
      const [topic] = this.#waiting
      if (topic === undefined) {
        await this.#change.promise
        continue
      }
      this.#waiting.delete(topic)
      const kind = kindOf(topic)
      if (kind === undefined) continue
      try {
        await this.#untilCompany()
        await this.#meet(topic, kind)
      } catch (err) {
        if (!signal.aborted) log.debug({ err, topic }, 'a topic could not be announced')
      }
    }
  }

  async #meet(topic: string, kind: TopicKind): Promise<void> {
    const { members, log } = this.#options
    const place = await meetingPlace(topic)
    this.#soughtAt.set(topic, performance.now())
    if (members(topic) < ENOUGH_MEMBERS) {
      await this.#seek(place).catch((err: unknown) => log.debug({ err, topic }, 'members of a topic are not found'))
    }
    // Of what others ask here nothing is announced.
    if (kind === 'told') await this.#announce(topic, place)
  }

  async #seek(place: CID): Promise<void> {
    const { libp2p } = this.#options
    // Also for all dials together: anybody can name twenty peers that do not answer.
    const signal = within(this.#options.signal, WALK_MS)
    let found = 0
    let dialled = 0
    for await (const { id } of libp2p.contentRouting.findProviders(place, { signal })) {
      if (++found > MAX_FOUND || dialled >= MAX_DIALLED) return
      if (id.equals(libp2p.peerId) || libp2p.getConnections(id).length > 0) continue
      const connection = await libp2p.dial(id, { signal: within(signal, DIAL_MS) }).catch(() => undefined)
      if (connection !== undefined) dialled += 1
    }
  }

  async #announce(topic: string, place: CID): Promise<void> {
    const { libp2p, signal } = this.#options
    await libp2p.contentRouting.provide(place, { signal: within(signal, WALK_MS) })
    this.#announcedAt.set(topic, performance.now())
    // The record that is kept here would stay for ever; those that were told have their own.
    await libp2p.contentRouting.cancelReprovide(place)
  }

  /** With nobody in the routing table, nobody would be told and nobody found. */
  async #untilCompany(): Promise<void> {
    const { libp2p, signal } = this.#options
    while (libp2p.services.dht.routingTable.size === 0) await sleep(COMPANY_POLL_MS, undefined, { signal })
  }
}

async function meetingPlace(topic: string): Promise<CID> {
  return CID.createV1(RAW, await sha256.digest(Buffer.from(MEETING_PREFIX + topic)))
}

function within(signal: AbortSignal, ms: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)])
}
