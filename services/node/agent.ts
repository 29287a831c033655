import { setTimeout as delay } from 'node:timers/promises'
import { hasCode } from '../core/errors.ts'
import type { GatewayRules } from '../core/gateway-rules.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { registrationMessage, type Beat, type Registered, type Registration, type SyncRequest } from '../core/sync.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { pause } from '../runtime/loop.ts'
import type { ControlClient } from './control-client.ts'
import type { DirectoryFile } from './directory-file.ts'
import type { Inventory } from './inventory.ts'
import type { Jobs } from './jobs.ts'
import type { NamesFeed } from './names-feed.ts'
import type { Outbox } from './outbox.ts'
import type { Possessions } from './possessions.ts'
import type { RulesFolder } from './rules-folder.ts'

export interface AgentOptions {
  control: ControlClient
  identity: NodeIdentity
  /** What the node says of itself when it registers; the rest of the registration is proof. */
  about: Omit<Registration, 'publicKey' | 'challenge' | 'proof'>
  directory: DirectoryFile
  /** What the gateway goes by; undefined on a node without one. */
  rules?: RulesFolder | undefined
  /** Names that the gateway serves; undefined on a node without one. */
  names?: NamesFeed | undefined
  jobs: Jobs
  /** Answers challenges; undefined on a node that takes none. */
  possessions?: Possessions | undefined
  outbox: Outbox
  inventory: Inventory
  beat: () => Beat
  /** Told of each registration. */
  onRegistered: (registered: Registered) => void
  log: Log
  signal: AbortSignal
  /** How long the control plane may hold an answer back. */
  waitMs?: number
}

const DEFAULT_WAIT_MS = 10 * SECOND_MS
const MAX_REPORTS = 1_000
const MAX_DAMAGED = 1_000
/** Some hundred kilobytes. */
const MAX_POSSESSIONS = 50
const NO_ROOM = { slots: 0, seeks: 0 }
/** Reports that come within this time travel together. */
const GATHER_MS = 20
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15 * SECOND_MS
/** Rules that could not be had are asked for again so soon. */
const RULES_PAUSE_MS = SECOND_MS

/**
 * Keeps this node in touch with the control plane until aborted: registers, beats, takes work, reports. While the control
 * plane is away it tries again and again, and reports wait; nothing else of the node depends on it.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { log, signal } = options
  let failures = 0
  while (!signal.aborted) {
    try {
      const registered = await register(options)
      failures = 0
      options.inventory.forget()
      options.onRegistered(registered)
      log.info({ node: registered.name, epoch: registered.epoch }, 'registered with the control plane')
      await new Session(options, registered.session).run()
    } catch (error) {
      if (signal.aborted) return
      if (!hasCode(error)) throw error
      failures += 1
      log.warn({ err: error, failures }, 'not registered with the control plane')
      await backOff(failures, signal)
    }
  }
}

async function register({ control, identity, about, signal }: AgentOptions): Promise<Registered> {
  const { publicKey } = identity
  const challenge = await control.challenge(signal)
  const proof = identity.sign(registrationMessage(challenge, publicKey))
  return await control.register({ ...about, publicKey, challenge, proof }, signal)
}

/** One registration's calls: one that waits for work, and beside it at most one that reports. */
class Session {
  readonly #options: AgentOptions
  readonly #session: string
  readonly #ended = new AbortController()
  readonly #signal: AbortSignal
  /** Work that the waiting call may bring. */
  #asked = NO_ROOM

  constructor(options: AgentOptions, session: string) {
    this.#options = options
    this.#session = session
    this.#signal = AbortSignal.any([options.signal, this.#ended.signal])
  }

  /** @throws STALE_SESSION when the node has to register again */
  async run(): Promise<void> {
    try {
      const { names } = this.#options
      const calls = [this.#repeat(() => this.#poll()), this.#repeat(() => this.#report())]
      if (names !== undefined) calls.push(this.#repeat(() => this.#follow(names)))
      await Promise.all(calls)
    } finally {
      this.#ended.abort()
    }
  }

  async #repeat(call: () => Promise<void>): Promise<void> {
    let failures = 0
    while (!this.#signal.aborted) {
      try {
        await call()
        failures = 0
      } catch (error) {
        if (this.#signal.aborted) return
        if (!hasCode(error, 'UNAVAILABLE')) {
          this.#ended.abort()
          throw error
        }
        failures += 1
        this.#options.log.warn({ err: error, failures }, 'the control plane did not answer')
        await backOff(failures, this.#signal)
      }
    }
  }

  async #poll(): Promise<void> {
    const { waitMs = DEFAULT_WAIT_MS, jobs, inventory } = this.#options
    const slice = inventory.next()
    this.#asked = { slots: jobs.free, seeks: jobs.freeSeeks }
    try {
      // With a slice to tell, there is no reason to be held back.
      await this.#sync({ ...this.#asked, waitMs: slice === undefined ? waitMs : 0, inventory: slice })
      if (slice !== undefined) inventory.told(slice)
    } finally {
      this.#asked = NO_ROOM
    }
  }

  async #report(): Promise<void> {
    const { outbox, jobs } = this.#options
    await outbox.filled(this.#signal)
    await delay(GATHER_MS, undefined, { signal: this.#signal })
    // Finished work makes room at once, beyond what the waiting call asked for.
    const slots = Math.max(0, jobs.free - this.#asked.slots)
    const seeks = Math.max(0, jobs.freeSeeks - this.#asked.seeks)
    await this.#sync({ slots, seeks, waitMs: 0, inventory: undefined })
  }

  async #follow(names: NamesFeed): Promise<void> {
    const { control } = this.#options
    await names.follow((places) => control.names(this.#session, places, this.#signal), this.#signal)
  }

  async #sync({ inventory, ...rest }: Pick<SyncRequest, 'slots' | 'seeks' | 'waitMs' | 'inventory'>): Promise<void> {
    const { control, directory, rules, names, jobs, possessions, outbox } = this.#options
    const beat = this.#options.beat()
    const reports = outbox.take(MAX_REPORTS)
    const damaged = outbox.takeDamaged(MAX_DAMAGED)
    const answers = outbox.takePossessions(MAX_POSSESSIONS)
    let told: GatewayRules | undefined
    const versions = {
      directory: directory.current.version,
      ...(rules && { rules: rules.version }),
      ...(names && { names: names.heard }),
    }
    const proving = {
      ...(answers.length > 0 && { possessions: answers }),
      ...(possessions && { challenges: possessions.free }),
    }
    const request = { beat, reports, ...(damaged.length > 0 && { damaged }), ...proving, ...versions, ...rest }
    try {
      const call = inventory === undefined ? request : { ...request, inventory }
      const answer = await control.sync(this.#session, call, this.#signal)
      if (answer.directory !== undefined) await this.#replaceDirectory(answer.directory)
      jobs.abandon(answer.stale)
      jobs.accept(answer.work)
      possessions?.accept(answer.challenges ?? [])
      if (answer.inventoryWanted) this.#options.inventory.begin()
      if (answer.names !== undefined) names?.hear(answer.names)
      if (answer.clockMs !== undefined) rules?.heardClock(answer.clockMs)
      told = answer.rules
    } catch (error) {
      outbox.giveBack(reports)
      outbox.addDamaged(damaged)
      outbox.addPossessions(answers)
      throw error
    }
    if (told !== undefined) await this.#replaceRules(told)
  }

  /** Those before stay in force while new ones cannot be had; they are told again with the next answer. */
  async #replaceRules(told: GatewayRules): Promise<void> {
    const { control, rules, log } = this.#options
    try {
      await rules?.replace(told, (hash, part) => control.rules(this.#session, hash, part, this.#signal))
    } catch (error) {
      this.#signal.throwIfAborted()
      if (hasCode(error, 'STALE_SESSION')) throw error
      log.error({ err: error }, "the gateway's new rules could not be had")
      await pause(RULES_PAUSE_MS, this.#signal)
    }
  }

  async #replaceDirectory(next: DirectoryFile['current']): Promise<void> {
    try {
      await this.#options.directory.replace(next)
    } catch (error) {
      // A full disk must not keep the node out of the cluster: the directory is in use, only not kept.
      this.#options.log.error({ err: error }, 'the directory could not be written')
    }
  }
}

/** Many nodes lose the control plane at the same moment and must not come back at the same moment. */
async function backOff(failures: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1))
  await pause(longest * (0.5 + Math.random() / 2), signal)
}
