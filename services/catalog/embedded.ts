import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import { findBinaries, type Binaries } from './embedded-binaries.ts'
import { openServerFolder, type ServerFolder } from './embedded-folder.ts'
import { choosePort } from './embedded-port.ts'
import {
  findRunning,
  isAlive,
  lastWords,
  spawnServer,
  type ServerProcess,
  type ServerSettings,
} from './embedded-process.ts'

/** A PostgreSQL server on this machine, for as long as this process lives or until it is stopped. */
export interface EmbeddedServer {
  /** Of its database `holdfast`, with the password. */
  url: string
  /** A fast, clean shutdown when this process started it; a server of another process goes on. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  /** Made when it does not exist; holds everything the server has. */
  folder: string
  /** Settings of PostgreSQL on top of ours. */
  settings?: ServerSettings
}

/**
 * Starts the PostgreSQL that npm installed, or joins the one that runs on the folder. It listens on 127.0.0.1 only. When
 * it dies without being told to, it is started again on the same port, so that connections come back by themselves.
 * @throws CONFIG when this platform has none, or the folder is of another major version;
 *   UNAVAILABLE when the server does not come up
 */
export async function startEmbedded({ folder: path, settings = {} }: EmbeddedOptions): Promise<EmbeddedServer> {
  const binaries = await findBinaries()
  const folder = await openServerFolder(path, binaries)
  let server = await start(binaries, folder, settings)
  const { port } = server
  await createDatabase(folder, port)

  const stopping = new AbortController()
  const revive = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await server.ended(stopping.signal)
      // One that cannot be brought back now is a database that is not reachable, as it is; perhaps the next try can.
      if (!stopping.signal.aborted)
        server = await start(binaries, folder, { ...settings, port: String(port) }).catch(() => server)
    }
  }
  const reviving = revive()
  return {
    url: urlOf(folder, port, DATABASE),
    async stop() {
      stopping.abort()
      await reviving
      await server.stop()
    },
  }
}

const DATABASE = 'holdfast'

/** A server that answers, ours or one that was there already. */
interface Answering {
  port: number
  /** Resolves when it has ended, or the signal is aborted. */
  ended(signal: AbortSignal): Promise<void>
  stop(): Promise<void>
}

/** How long a server may be in the way that neither answers nor ends, or ends again each time it is started. */
const START_TIMEOUT_MS = 20 * SECOND_MS
const POLL_MS = 25
/** Between tries of a server that ends by itself: its port is taken, or its last process is not gone yet. */
const PAUSE_MS = 200
const ADOPTED_POLL_MS = 500

async function start(binaries: Binaries, folder: ServerFolder, settings: ServerSettings): Promise<Answering> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadline) {
    const running = await findRunning(folder)
    if (running === undefined) {
      const port = Number(settings['port'] ?? (await choosePort(join(folder.path, 'port'))))
      const child = await spawnServer(binaries, folder, { ...settings, port: String(port) })
      if (await answersBeforeItEnds(child, folder, port)) return ours(child, port)
      await delay(PAUSE_MS)
    } else if (await answers(folder, running.port)) {
      return adopted(running.pid, running.port)
    }
    await delay(POLL_MS)
  }
  throw new HoldfastError('UNAVAILABLE', `PostgreSQL does not start in ${folder.path}:\n${await lastWords(folder)}`)
}

function ours(child: ServerProcess, port: number): Answering {
  return {
    port,
    ended: (signal) => Promise.race([child.ended, abortOf(signal)]),
    stop: () => child.stop(),
  }
}

function adopted(pid: number, port: number): Answering {
  return {
    port,
    async ended(signal) {
      while (!signal.aborted && isAlive(pid)) {
        await delay(ADOPTED_POLL_MS, undefined, { signal, ref: false }).catch(() => undefined)
      }
    },
    stop: () => Promise.resolve(),
  }
}

function abortOf(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** A server that replays its log after a crash refuses connections for as long as that takes. */
async function answersBeforeItEnds(child: ServerProcess, folder: ServerFolder, port: number): Promise<boolean> {
  while (child.isRunning()) {
    if (await answers(folder, port)) return true
    await delay(POLL_MS)
  }
  return false
}

/** Whether our server answers there: nobody else's takes the password. */
function answers(folder: ServerFolder, port: number): Promise<boolean> {
  return withClient(folder, port, () => Promise.resolve(true)).catch(() => false)
}

async function createDatabase(folder: ServerFolder, port: number): Promise<void> {
  await withClient(folder, port, async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE])
    if (rowCount === 0) await client.query(`create database ${DATABASE}`).catch(ignoreExisting)
  })
}

const DUPLICATE_DATABASE = '42P04'
function ignoreExisting(error: Error & { code?: string }): void {
  if (error.code !== DUPLICATE_DATABASE) throw error
}

async function withClient<T>(folder: ServerFolder, port: number, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: urlOf(folder, port, 'postgres'),
    connectionTimeoutMillis: 5 * SECOND_MS,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

function urlOf({ password }: ServerFolder, port: number, database: string): string {
  return `postgres://holdfast:${password}@127.0.0.1:${port}/${database}`
}
