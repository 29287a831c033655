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
  readonly #joined = new Set<ChildProcess>()
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
    const child = this.#spawn([], settings)
    this.#process = child
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the cluster ended with ${code}`)
    })
    try {
      this.ready = await Promise.race([until('a ready cluster', () => this.#readReady(), 60_000), ended])
      ended.catch(() => {})
    } catch (error) {
      await this.#tellOf(error)
    }
  }

  #spawn(words: readonly string[], settings: Record<string, string>): ChildProcess {
    const child = spawn(process.execPath, [join(ROOT, 'services/local.ts'), ...words], {
      cwd: this.folder,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...this.#settings, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const log = createWriteStream(join(this.folder, 'terminal.log'), { flags: 'a' })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    return child
  }

  /**
   * Brings a part that was killed back, or adds a node: `npm run join -- frankfurt-1`, or `control`. One at a time.
   * @param more environment of the part alone
   */
  async join(name: string, more: Record<string, string> = {}): Promise<void> {
    const child = this.#spawn(['join', name], more)
    this.#joined.add(child)
    child.once('exit', () => this.#joined.delete(child))
    const isIn = async (): Promise<Ready | undefined> => {
      if (child.exitCode !== null) throw new Error(`join ${name} ended with ${child.exitCode}`)
      const ready = await this.#readReady()
      const pid = name === 'control' ? ready.control.pid : ready.nodes.find(({ id }) => id === name)?.pid
      return pid !== undefined && isAlive(pid) ? ready : undefined
    }
    this.ready = await until(`${name} in the cluster`, isIn, 60_000).catch((error: unknown) => this.#tellOf(error))
  }

  /** The failure, with what the processes had to say. */
  async #tellOf(error: unknown): Promise<never> {
    throw new Error(`${(error as Error).message}\n${await this.terminal()}\n${await this.#complaints()}`, {
      cause: error,
    })
  }

  /** `kill -9` of one part: `control`, `postgres`, or a node's name. */
  async kill(name: string): Promise<void> {
    const pid = await this.pidOf(name)
    process.kill(pid, 'SIGKILL')
    await until(`the end of ${name}`, () => !isAlive(pid))
  }

  /** The process of a part: `control`, `postgres`, or a node's name. */
  async pidOf(name: string): Promise<number> {
    if (name === 'control') return this.ready.control.pid
    if (name !== 'postgres') return this.named(name).pid
    const file = await readFile(join(this.folder, 'postgres', 'data', 'postmaster.pid'), 'utf8')
    return Number(file.split('\n', 1)[0])
  }

  /** `kill -9` of every process at once. */
  async killAll(): Promise<void> {
    const parts = ['control', 'postgres', ...this.ready.nodes.map(({ id }) => id)]
    const pids = await Promise.all(parts.map((part) => this.pidOf(part)))
    const children = [this.#process, ...this.#joined].filter((child) => child !== undefined)
    const ended = children.filter(isRunning).map((child) => once(child, 'exit'))
    for (const pid of [...children.map(({ pid }) => pid ?? 0), ...pids]) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    await Promise.all(ended)
    await until('the end of every process', () => !pids.some(isAlive))
    this.#process = undefined
    // Nobody was left to remove it.
    await rm(join(this.folder, 'ready.json'), { force: true })
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
    // Parts that joined end with the cluster.
    const exits = [child, ...this.#joined].filter((one) => one !== undefined && isRunning(one))
    const ended = exits.map((one) => once(one as ChildProcess, 'exit'))
    child?.kill(signal)
    await Promise.all(ended)
  }

  named(id: string): ReadyNode {
    const node = this.ready.nodes.find((one) => one.id === id)
    assert.ok(node, id)
    return node
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

  /** Saves a policy of that many copies, with rules. */
  async policy(name: string, copies: { min: number; target: number }, rules: unknown[] = []): Promise<void> {
    const headers = { 'content-type': 'application/json' }
    await this.json(`/v1/policies/${name}`, { method: 'PUT', headers, body: JSON.stringify({ copies, rules }) })
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

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
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
