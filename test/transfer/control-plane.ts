import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { isSignedBy } from '../../services/core/node-key.ts'
import {
  Registration,
  registrationMessage,
  SyncRequest,
  type Directory,
  type Report,
  type SyncResponse,
  type Work,
} from '../../services/core/sync.ts'
import { until } from '../support/until.ts'

/** The control plane's side of core/sync.ts over real HTTP, with the test in the place of Postgres. */
export class TestControlPlane implements AsyncDisposable {
  readonly reports: Report[] = []
  readonly syncs: SyncRequest[] = []
  readonly registrations: Registration[] = []
  directory: Directory = { version: '1', nodes: [], controllers: [] }
  inventoryWanted = false
  /** Calls that are being held back or answered now, and the most there ever were. */
  open = 0
  mostOpen = 0
  readonly #work: Work[] = []
  readonly #stale: string[] = []
  #session = ''
  #epoch = 0
  #server: Server | undefined
  #port = 0
  #wake = Promise.withResolvers<void>()

  static async start(): Promise<TestControlPlane> {
    const plane = new TestControlPlane()
    await plane.up()
    return plane
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async up(): Promise<void> {
    this.#server = createServer((request, response) => void this.#answer(request, response))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async down(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }

  /** Voids the session, as another registration of the node would. */
  forget(): void {
    this.#session = ''
    this.#ring()
  }

  give(...work: Work[]): void {
    this.#work.push(...work)
    this.#ring()
  }

  takeBack(lease: string): void {
    this.#stale.push(lease)
    this.#ring()
  }

  outcome(lease: string, outcome: Report['outcome']): Promise<Report> {
    const find = (): Report | undefined =>
      this.reports.find((report) => report.lease === lease && report.outcome === outcome)
    return until(`${outcome} of ${lease}`, find)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down()
  }

  #ring(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body: unknown = JSON.parse(Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString())
    const [status, answer] = await this.#route(request, body)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }

  async #route({ url, headers }: IncomingMessage, body: unknown): Promise<[number, unknown]> {
    if (url === '/cluster/challenge') return [200, { challenge: 'sign this' }]
    if (url === '/cluster/register') return this.#register(Registration.parse(body))
    if (headers.authorization !== `Bearer ${this.#session}`) return this.#staleSession()
    this.open += 1
    this.mostOpen = Math.max(this.mostOpen, this.open)
    try {
      return await this.#sync(SyncRequest.parse(body), this.#session)
    } finally {
      this.open -= 1
    }
  }

  #register(registration: Registration): [number, unknown] {
    const { challenge, publicKey, proof } = registration
    if (!isSignedBy(publicKey, registrationMessage(challenge, publicKey), proof)) return [401, {}]
    this.registrations.push(registration)
    this.#epoch += 1
    this.#session = `session ${this.#epoch}`
    return [200, { nodeId: 1, name: registration.name ?? 'made-up', epoch: this.#epoch, session: this.#session }]
  }

  #staleSession(): [number, unknown] {
    return [409, { error: { reason: 'STALE_SESSION', details: 'Register again.' } }]
  }

  async #sync(request: SyncRequest, session: string): Promise<[number, unknown]> {
    this.syncs.push(request)
    this.reports.push(...request.reports)
    const deadline = performance.now() + request.waitMs
    for (;;) {
      if (session !== this.#session) return this.#staleSession()
      const work = this.#work.splice(0, request.slots)
      const stale = this.#stale.splice(0)
      const isNew = request.directory !== this.directory.version
      const left = deadline - performance.now()
      if (work.length > 0 || stale.length > 0 || isNew || this.inventoryWanted || left <= 0) {
        const inventoryWanted = this.inventoryWanted
        this.inventoryWanted = false
        const answer: SyncResponse = { work, stale, inventoryWanted, ...(isNew && { directory: this.directory }) }
        return [200, answer]
      }
      await Promise.race([this.#wake.promise, new Promise((resolve) => setTimeout(resolve, left))])
    }
  }
}
