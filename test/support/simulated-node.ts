import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { hasCode } from '../../services/core/errors.ts'
import { rawPublicKey } from '../../services/core/node-key.ts'
import {
  registrationMessage,
  type Registered,
  type Report,
  type SyncRequest,
  type SyncResponse,
  type Work,
} from '../../services/core/sync.ts'
import { GIB } from '../../services/core/units.ts'
import type { Sync } from '../../services/scheduler/sync.ts'

export const ROOT_BYTES = 1_000
export const ROOT_BLOCKS = 4

/** What simulated nodes reach: each other, and roots that the outside network has. */
export interface SimulatedWorld {
  nodes: Map<string, SimulatedNode>
  network: Set<string>
}

export function newWorld(): SimulatedWorld {
  return { nodes: new Map(), network: new Set() }
}

/** A storage node whose disk is a set of roots. It speaks the real exchange, driven step by step or by `run`. */
export class SimulatedNode {
  readonly name: string
  readonly region: string
  readonly disk = new Set<string>()
  readonly world: SimulatedWorld
  readonly joinToken: string
  isAlive = true
  refusal: string | undefined
  registered: Registered | undefined
  directory: SyncResponse['directory']
  /** Asked by tests that want a node to fail: what happens to this piece of work. */
  fate: (work: Work) => 'done' | 'fail' | 'refuse' | 'crash' | 'ignore' = () => 'done'
  #sync: Sync
  #key: KeyObject
  #running: { stop: AbortController; ended: Promise<void> } | undefined

  constructor(
    sync: Sync,
    world: SimulatedWorld,
    { name, region, joinToken }: { name: string; region: string; joinToken: string },
  ) {
    this.#sync = sync
    this.#key = generateKeyPairSync('ed25519').privateKey
    this.world = world
    this.name = name
    this.region = region
    this.joinToken = joinToken
    world.nodes.set(name, this)
  }

  get publicKey(): string {
    return rawPublicKey(this.#key) ?? ''
  }

  sign(message: string): string {
    return sign(null, Buffer.from(message), this.#key).toString('base64url')
  }

  async register(): Promise<Registered> {
    const { challenge } = await this.#sync.challenge()
    this.registered = await this.#sync.register({
      publicKey: this.publicKey,
      joinToken: this.joinToken,
      name: this.name,
      labels: { region: this.region },
      capacityBytes: 100 * GIB,
      transfer: `${this.name}:1`,
      gateway: `http://${this.name}`,
      challenge,
      proof: this.sign(registrationMessage(challenge, this.publicKey)),
    })
    return this.registered
  }

  /** One request. Nothing is done with its answer. */
  async sync(request: Partial<SyncRequest> = {}, signal = new AbortController().signal): Promise<SyncResponse> {
    const { session } = this.registered ?? (await this.register())
    const beat = {
      capacityBytes: 100 * GIB,
      freeBytes: 90 * GIB,
      storedBytes: this.disk.size * ROOT_BYTES,
      blocks: this.disk.size * ROOT_BLOCKS,
      roots: this.disk.size,
      addresses: [],
      ...(this.refusal !== undefined && { refusal: this.refusal }),
    }
    const version = this.directory?.version ?? ''
    const answer = await this.#sync.sync(
      session,
      { beat, reports: [], slots: 16, directory: version, waitMs: 0, ...request },
      signal,
    )
    this.directory = answer.directory ?? this.directory
    return answer
  }

  /** All it holds, in the order that the exchange asks for. */
  inventory(): NonNullable<SyncRequest['inventory']> {
    const roots = [...this.disk].sort().map((root) => ({ root, bytes: ROOT_BYTES, blocks: ROOT_BLOCKS }))
    return { roots, done: true }
  }

  /** Does the work on its disk, and answers what there is to report. `crash` happens after the effect. */
  perform(work: Work): Report[] {
    const fate = this.fate(work)
    if (fate === 'ignore') return []
    const key = { contentId: work.contentId, lease: work.lease }
    if (fate === 'fail' || fate === 'refuse') {
      const permanent = fate === 'refuse'
      return [{ outcome: 'failed', ...key, code: 'TIMED_OUT', message: 'it did not come', permanent }]
    }
    if (work.verb === 'release') {
      this.disk.delete(work.root)
      if (fate === 'crash') throw new SimulatedCrash()
      return [{ outcome: 'released', ...key }]
    }
    if (!this.#obtain(work)) {
      return [{ outcome: 'failed', ...key, code: 'NOT_FOUND', message: 'nobody has it', permanent: false }]
    }
    if (fate === 'crash') throw new SimulatedCrash()
    const figures = { bytes: ROOT_BYTES, blocks: ROOT_BLOCKS }
    return [
      { outcome: 'stored', ...key, ...figures },
      { outcome: 'verified', ...key, ...figures },
    ]
  }

  #obtain(work: Extract<Work, { verb: 'hold' }>): boolean {
    const hasSource = work.sources.some((name) => {
      const source = this.world.nodes.get(name)
      return source?.isAlive === true && source.disk.has(work.root)
    })
    const found =
      this.disk.has(work.root) || hasSource || (work.sources.length === 0 && this.world.network.has(work.root))
    if (found) this.disk.add(work.root)
    return found
  }

  /** Lives until it is stopped: syncs, works, and registers again when its session has ended. */
  run(): void {
    const stop = new AbortController()
    this.isAlive = true
    this.#running = { stop, ended: this.#live(stop.signal) }
  }

  /** Dies at once, its disk untouched. */
  async stop(): Promise<void> {
    this.isAlive = false
    this.#running?.stop.abort()
    await this.#running?.ended
    this.registered = undefined
    this.directory = undefined
  }

  async #live(signal: AbortSignal): Promise<void> {
    let reports: Report[] = []
    let shows = false
    while (!signal.aborted) {
      const sent = reports
      try {
        const waitMs = shows || sent.length > 0 ? 0 : 200
        const inventory = shows ? { inventory: this.inventory() } : {}
        const answer = await this.sync({ reports: sent, waitMs, ...inventory }, signal)
        shows = answer.inventoryWanted
        reports = []
        for (const work of answer.work) reports.push(...this.perform(work))
      } catch (error) {
        if (signal.aborted) return
        reports = []
        this.registered = undefined
        if (error instanceof SimulatedCrash || hasCode(error, 'STALE_SESSION')) continue
        if (!hasCode(error, 'UNAVAILABLE')) throw error
        await delay(10)
      }
    }
  }
}

class SimulatedCrash extends Error {
  override readonly name = 'SimulatedCrash'
}
