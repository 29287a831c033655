import { HoldfastError } from '../core/errors.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { SECOND_MS } from '../core/units.ts'
import { Connection, type ConnectionLimits } from './connection.ts'
import type { TransferAddress, TransferDirectory } from './directory.ts'
import { Exchange } from './exchange.ts'
import { Slots } from './slots.ts'

/** Requests to one node at once; others wait for one of these to end. */
const CONNECTIONS_PER_NODE = 32
const WAITING_PER_NODE = 4_096
/** Less than a server's patience, so that a request seldom meets a connection that is being closed. */
const IDLE_MS = 30 * SECOND_MS
/** Weight of the newest answer in the estimate of a node's round trip. */
const NEWEST = 0.2

export interface Call {
  method: 'GET' | 'POST'
  path: string
  body?: Uint8Array
  signal?: AbortSignal | undefined
  /** Whether the time to the answer says how far the node is: for calls that it can answer at once. */
  isPrompt?: boolean
}

interface Neighbour {
  slots: Slots
  idle: { connection: Connection; since: number }[]
  rttMs: number | undefined
}

/** Connections to the nodes of the directory, kept and used again. */
export class ConnectionPool implements Disposable {
  readonly #identity: NodeIdentity
  readonly #directory: TransferDirectory
  readonly #limits: ConnectionLimits
  readonly #neighbours = new Map<string, Neighbour>()
  readonly #open = new Set<Connection>()
  #closed = false

  constructor(identity: NodeIdentity, directory: TransferDirectory, limits: ConnectionLimits) {
    this.#identity = identity
    this.#directory = directory
    this.#limits = limits
  }

  /** Mean time in which the node answers small calls; undefined when it was never reached. */
  rttMs(node: string): number | undefined {
    return this.#neighbours.get(node)?.rttMs
  }

  /**
   * Sends a call and waits for the head of its answer.
   * @throws NOT_FOUND when the directory has no such node; UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE; the signal's reason
   */
  async call(node: string, call: Call): Promise<Exchange> {
    const address = this.#directory.node(node)
    if (address === undefined) throw new HoldfastError('NOT_FOUND', `There is no node called ${node}.`)
    const neighbour = this.#neighbour(node)
    const slot = await neighbour.slots.enter(call.signal)
    try {
      return await this.#send(neighbour, slot, address, call)
    } catch (error) {
      slot[Symbol.dispose]()
      call.signal?.throwIfAborted()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const connection of this.#open) connection.destroy()
    this.#neighbours.clear()
  }

  async #send(neighbour: Neighbour, slot: Disposable, address: TransferAddress, call: Call): Promise<Exchange> {
    const used = this.#takeIdle(neighbour, address)
    if (used !== undefined) {
      const before = used.received
      try {
        return await this.#exchange(neighbour, slot, used, call)
      } catch (error) {
        // The node may have closed it while it was idle. All calls are safe to repeat.
        if (used.received !== before || call.signal?.aborted === true) throw error
      }
    }
    const begun = performance.now()
    const fresh = await Connection.open(address, this.#identity, this.#limits, call.signal)
    neighbour.rttMs ??= (performance.now() - begun) / HANDSHAKE_ROUND_TRIPS
    return await this.#exchange(neighbour, slot, fresh, call)
  }

  async #exchange(neighbour: Neighbour, slot: Disposable, connection: Connection, call: Call): Promise<Exchange> {
    this.#open.add(connection)
    const guards = new DisposableStack()
    guards.use(connection.abortedBy(call.signal))
    guards.use(connection.watchRate())
    const begun = performance.now()
    try {
      if (this.#closed) throw new HoldfastError('UNAVAILABLE', 'The transfer client is closed.')
      const head = await connection.request(call.method, call.path, call.body ?? NO_BODY)
      if (call.isPrompt === true) learn(neighbour, performance.now() - begun)
      guards.use(slot)
      return new Exchange(connection, head, guards, () => this.#giveBack(neighbour, connection))
    } catch (error) {
      guards.dispose()
      connection.destroy()
      this.#open.delete(connection)
      throw error
    }
  }

  #giveBack(neighbour: Neighbour, connection: Connection): void {
    if (connection.isOpen && !this.#closed) neighbour.idle.push({ connection, since: performance.now() })
    else this.#open.delete(connection)
    if (!connection.isOpen) connection.destroy()
  }

  /** The connection used last that is still good; those that have waited too long, or lead elsewhere now, are ended. */
  #takeIdle(neighbour: Neighbour, address: TransferAddress): Connection | undefined {
    const now = performance.now()
    for (let last = neighbour.idle.pop(); last !== undefined; last = neighbour.idle.pop()) {
      const { connection, since } = last
      if (connection.isOpen && now - since < IDLE_MS && isSame(connection.address, address)) return connection
      connection.destroy()
      this.#open.delete(connection)
    }
    return undefined
  }

  #neighbour(node: string): Neighbour {
    const known = this.#neighbours.get(node)
    if (known !== undefined) return known
    const made = { slots: new Slots(CONNECTIONS_PER_NODE, WAITING_PER_NODE), idle: [], rttMs: undefined }
    this.#neighbours.set(node, made)
    return made
  }
}

const NO_BODY = new Uint8Array(0)
/** TCP, then TLS 1.3. */
const HANDSHAKE_ROUND_TRIPS = 2

function isSame(a: TransferAddress, b: TransferAddress): boolean {
  return a.publicKey === b.publicKey && a.host === b.host && a.port === b.port
}

function learn(neighbour: Neighbour, ms: number): void {
  neighbour.rttMs = neighbour.rttMs === undefined ? ms : neighbour.rttMs * (1 - NEWEST) + ms * NEWEST
}
