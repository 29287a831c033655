import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { once } from 'node:events'
import { until } from './until.ts'

const ROOT = resolve(import.meta.dirname, '../..')

export interface ReadyNode {
  id: string
  region: string
  pid: number
  gateway: string
  peer: string
  addresses: string[]
  data: string
}

export interface Ready {
  api: string
  token: string
  database: string
  control: { pid: number }
  nodes: ReadyNode[]
}

export interface PinAnswer {
  requestid: string
  status: string
  pin: { cid: string; name?: string }
}

export interface PinDetails extends PinAnswer {
  replicas: { node: string; region: string; state: string; error?: string | null }[]
  explain: { phase: string }
}

/** A whole local cluster in processes of its own, on free ports, in a folder that is removed with it. */
export class Cluster implements AsyncDisposable {
  readonly folder: string
  readonly #settings: Record<string, string>
  #process: ChildProcess | undefined
  ready!: Ready

  private constructor(folder: string, settings: Record<string, string>) {
    this.folder = folder
    this.#settings = settings
  }

  static async start(settings: Record<string, string> = {}): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-cluster-'))
    const [api, gateway, swarm] = await freePorts(Number(settings['HOLDFAST_NODES'] ?? 3) + 2)
    const cluster = new Cluster(folder, {
      HOLDFAST_DATA: folder,
      HOLDFAST_API_PORT: String(api),
      HOLDFAST_GATEWAY_PORT: String(gateway),
      HOLDFAST_SWARM_PORT: String(swarm),
      ...settings,
    })
    await cluster.up()
    return cluster
  }

  /** Starts all processes, on the state that the folder has. */
  async up(settings: Record<string, string> = {}): Promise<void> {
    const child = spawn(process.execPath, [join(ROOT, 'services/local.ts')], {
      cwd: this.folder,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...this.#settings, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process = child
    const log = createWriteStream(join(this.folder, 'terminal.log'), { flags: 'a' })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the cluster ended with ${code}`)
    })
    try {
      this.ready = await Promise.race([until('a ready cluster', () => this.#readReady(), 60_000), ended])
      ended.catch(() => {})
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${await this.terminal()}\n${await this.#complaints()}`, {
        cause: error,
      })
    }
  }

  /** The last warnings and errors of each process. */
  async #complaints(): Promise<string> {
    const folder = join(this.folder, 'logs')
    const logs = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')))
    return logs
      .flatMap((log) =>
        log
          .split('\n')
          .filter((line) => /"level":"(warn|error)"/.test(line))
          .slice(-3),
      )
      .join('\n')
  }

  /** What the cluster wrote to its terminal. */
  terminal(): Promise<string> {
    return readFile(join(this.folder, 'terminal.log'), 'utf8').catch(() => '')
  }

  async #readReady(): Promise<Ready> {
    return JSON.parse(await readFile(join(this.folder, 'ready.json'), 'utf8')) as Ready
  }

  /** Stops all processes in order, as Ctrl-C does. */
  async down(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  node(index: number): ReadyNode {
    const node = this.ready.nodes[index]
    assert.ok(node, `node ${index}`)
    return node
  }

  /** A call of the API with the cluster's token. */
  async api(path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${this.ready.token}`)
    return await fetch(this.ready.api + path, { ...init, headers })
  }

  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.api(path, init)
    const text = await response.text()
    if (!response.ok) assert.fail(`${path}: ${response.status} ${text}\n${await this.#complaints()}`)
    return JSON.parse(text) as T
  }

  async upload(
    body: Uint8Array | string,
    query = '',
  ): Promise<{ cid: string; size: number; blocks: number; pin: PinAnswer }> {
    const headers = { 'content-type': 'application/octet-stream' }
    return await this.json(`/v1/uploads${query}`, { method: 'POST', headers, body: body as string })
  }

  async pin(cid: string, more: Record<string, unknown> = {}): Promise<PinAnswer> {
    const headers = { 'content-type': 'application/json' }
    return await this.json('/psa/pins', { method: 'POST', headers, body: JSON.stringify({ cid, ...more }) })
  }

  details(requestId: string): Promise<PinDetails> {
    return this.json(`/v1/pins/${requestId}`)
  }

  /** Waits until that many copies of the pin are verified and it is pinned. */
  async pinned(requestId: string, copies: number, timeoutMs = 60_000): Promise<PinDetails> {
    return await until(
      `${copies} verified copies of ${requestId}`,
      async () => {
        const details = await this.details(requestId)
        const verified = details.replicas.filter(({ state }) => state === 'verified').length
        return details.status === 'pinned' && verified >= copies ? details : undefined
      },
      timeoutMs,
    )
  }

  async read(node: ReadyNode, path: string): Promise<Uint8Array> {
    const response = await fetch(`${node.gateway}${path}`)
    const bytes = new Uint8Array(await response.arrayBuffer())
    assert.equal(response.status, 200, Buffer.from(bytes).toString('utf8').slice(0, 300))
    return bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** First ports of three runs of `count` free ports each. */
async function freePorts(count: number): Promise<[number, number, number]> {
  const bases: number[] = []
  while (bases.length < 3) {
    const base = 20_000 + Math.floor(Math.random() * 20_000)
    if (bases.some((other) => Math.abs(other - base) <= count)) continue
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(base + index)))
    if (free.every(Boolean)) bases.push(base)
  }
  return bases as [number, number, number]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const server = createServer()
    server.once('error', () => answer(false))
    server.listen(port, '127.0.0.1', () => server.close(() => answer(true)))
  })
}
