import { setTimeout as sleep } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { Peer } from './peer.ts'

export interface ProvidingOptions {
  /** Time between two announcements of one root; records live 48 hours in the public DHT. @default 22 h */
  intervalMs?: number
  /** Announcements under way at once; each asks about 20 peers. @default 8 */
  concurrency?: number
}

export interface ProvidingFigures {
  queued: number
  /** Announcements since the start. */
  announced: number
  failed: number
}

/** Tells the DHT which roots we hold. Disposing it stops; records that were announced live on until they expire. */
export interface Providing extends AsyncDisposable {
  /** Announces the roots soon, before those that are announced in turn. */
  provide(roots: Iterable<CID>): void
  figures(): ProvidingFigures
}

const DEFAULT_INTERVAL_MS = 22 * HOUR_MS
const DEFAULT_CONCURRENCY = 8
const ANNOUNCE_TIMEOUT_MS = MINUTE_MS
const MAX_TRIES = 3
/** Roots of a pass that wait for a turn: the pass reads on as they get it. */
const MAX_QUEUED = 1_000
const COMPANY_POLL_MS = SECOND_MS

/**
 * Announces roots, and only roots: a lookup per block would take days for what one per root does in minutes. Each root
 * is announced when `provide` names it, once after the start, and then every `intervalMs` as long as the reader holds it.
 * Failures are logged and tried again; none ends the process.
 */
export function startProviding(peer: Peer, options: ProvidingOptions = {}): Providing {
  return new Announcer(peer, options)
}

interface Turn {
  cid: CID
  tries: number
}

class Announcer implements Providing {
  readonly #peer: Peer
  readonly #intervalMs: number
  readonly #stopping = new AbortController()
  readonly #urgent = new Map<string, Turn>()
  readonly #routine = new Map<string, Turn>()
  /** Multihashes of what was announced and the codecs of the roots, so that what is released can be taken back. */
  readonly #announced = new Map<string, number>()
  readonly #running: Promise<unknown>
  #change = Promise.withResolvers<void>()
  #count = 0
  #failed = 0

  constructor(peer: Peer, options: ProvidingOptions) {
    this.#peer = peer
    this.#intervalMs = options.intervalMs ?? DEFAULT_INTERVAL_MS
    const workers = Array.from({ length: options.concurrency ?? DEFAULT_CONCURRENCY }, () => this.#work())
    this.#running = Promise.all([...workers, this.#repeat()])
  }

  provide(roots: Iterable<CID>): void {
    for (const cid of roots) this.#urgent.set(multihashKey(cid), { cid, tries: 0 })
    this.#changed()
  }

  figures(): ProvidingFigures {
    return { queued: this.#urgent.size + this.#routine.size, announced: this.#count, failed: this.#failed }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    this.#changed()
    await this.#running
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted
  }

  #changed(): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers<void>()
  }

  async #work(): Promise<void> {
    while (!this.#isStopped) {
      const turn = take(this.#urgent) ?? take(this.#routine)
      if (turn === undefined) {
        await this.#change.promise
        continue
      }
      await this.#announce(turn)
      this.#changed()
    }
  }

  async #announce(turn: Turn): Promise<void> {
    const { signal } = this.#stopping
    try {
      await this.#untilCompany()
      const timeout = AbortSignal.timeout(ANNOUNCE_TIMEOUT_MS)
      await this.#peer.libp2p.contentRouting.provide(turn.cid, { signal: AbortSignal.any([signal, timeout]) })
      this.#announced.set(multihashKey(turn.cid), turn.cid.code)
      this.#count += 1
    } catch (err) {
      if (this.#isStopped) return
      this.#failed += 1
      this.#peer.log.warn({ err, root: turn.cid.toString(), tries: turn.tries + 1 }, 'a root could not be announced')
      if (turn.tries + 1 < MAX_TRIES) this.#routine.set(multihashKey(turn.cid), { ...turn, tries: turn.tries + 1 })
    }
  }

  /** With nobody in the routing table an announcement would reach nobody and count as made. */
  async #untilCompany(): Promise<void> {
    const { dht } = this.#peer.libp2p.services
    while (dht.routingTable.size === 0) await sleep(COMPANY_POLL_MS, undefined, { signal: this.#stopping.signal })
  }

  async #repeat(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#queueAll()
        await this.#takeBackReleased()
      } catch (err) {
        if (!this.#isStopped) this.#peer.log.error({ err }, 'the roots could not be announced in turn')
      }
      await sleep(this.#intervalMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
    }
  }

  async #queueAll(): Promise<void> {
    for (const { cid } of this.#peer.reader.roots()) {
      this.#routine.set(multihashKey(cid), { cid, tries: 0 })
      if (this.#routine.size === 1) this.#changed()
      while (this.#routine.size >= MAX_QUEUED && !this.#isStopped) await this.#change.promise
      if (this.#isStopped) return
    }
  }

  async #takeBackReleased(): Promise<void> {
    for (const [key, codec] of this.#announced) {
      const root = CID.createV1(codec, decodeMultihash(Buffer.from(key, 'latin1')))
      if (this.#isStopped || this.#peer.reader.root(root) !== undefined) continue
      this.#announced.delete(key)
      await this.#peer.libp2p.contentRouting.cancelReprovide(root)
    }
  }
}

function take(turns: Map<string, Turn>): Turn | undefined {
  for (const [key, turn] of turns) {
    turns.delete(key)
    return turn
  }
  return undefined
}
