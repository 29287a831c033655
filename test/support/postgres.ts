import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbedded } from '../../services/catalog/embedded.ts'
import { openDatabase, type Database, type DatabaseOptions } from '../../services/catalog/database.ts'
import { migrate } from '../../services/catalog/migrate.ts'

/** A server for tests whose database `template` has the current schema. */
export interface TestServer extends AsyncDisposable {
  url: string
}

/** Names the test server that `test/support/setup.ts` started for all test files of the run. */
export const SERVER_VARIABLE = 'HOLDFAST_TEST_POSTGRES'

const TEMPLATE = 'template_holdfast'
/** Tests do not outlive a power loss. Those that kill servers start their own. */
const FAST = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', max_connections: '200' }

export async function startTestServer(): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-test-postgres-'))
  const server = await startEmbedded({ folder, settings: FAST })
  await using admin = openDatabase(server.url, { connections: 1 })
  await admin.run(`create database ${TEMPLATE}`)
  await using template = openDatabase(inServer(server.url, TEMPLATE), { connections: 1 })
  await migrate(template)
  return {
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A database of one's own on the test server. */
export interface FreshDatabase extends Database {
  url: string
}

/** A new, migrated, empty database. Disposing it closes its connections and drops it. */
export async function freshDatabase(options: DatabaseOptions = {}): Promise<FreshDatabase> {
  const server = await serverUrl()
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await onServer(server, `create database ${name} template ${TEMPLATE} strategy file_copy`)
  const url = inServer(server, name)
  const db = openDatabase(url, options)
  return {
    ...db,
    url,
    async [Symbol.asyncDispose]() {
      await db[Symbol.asyncDispose]()
      await onServer(server, `drop database ${name} with (force)`)
    },
  }
}

/** A file that is run without the setup has a server of its own until its process has nothing left to do. */
let own: Promise<TestServer> | undefined

function startOwn(): Promise<TestServer> {
  const server = startTestServer()
  process.once('beforeExit', () => void server.then((started) => started[Symbol.asyncDispose]()))
  return server
}

async function serverUrl(): Promise<string> {
  const shared = process.env[SERVER_VARIABLE]
  if (shared !== undefined) return shared
  own ??= startOwn()
  return (await own).url
}

async function onServer(url: string, statement: string): Promise<void> {
  await using admin = openDatabase(url, { connections: 1 })
  await admin.run(statement)
}

function inServer(url: string, database: string): string {
  const other = new URL(url)
  other.pathname = `/${database}`
  return other.href
}
