import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { runner } from 'node-pg-migrate'
import type { Client } from 'pg'
import type { Abortable } from '../core/block-source.ts'
import { expectedFailure } from './database-errors.ts'
import type { Database } from './database.ts'

const FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url))
/** Any number, known to all processes of Holdfast. */
const LOCK = 5_701_340_221
const LOCK_POLL_MS = 50

/**
 * Brings the schema up to date: applies the files of `migrations/` that were not applied yet, in the order of their
 * numbers, all of them or none. Of several processes that start at once, one does it and the others wait.
 * @returns the names of what was applied now
 */
export async function migrate(db: Database, { signal }: Abortable = {}): Promise<string[]> {
  const client = db.connection()
  // The statement that was running fails as well; this event tells the same once more.
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('set statement_timeout = 0')
    await lock(client, signal)
    return await applyTo(client)
  } catch (error) {
    throw expectedFailure(error)
  } finally {
    // The lock goes with the session.
    await client.end().catch(() => undefined)
  }
}

/** Polled: a statement that waits for a lock holds a snapshot, and CREATE INDEX CONCURRENTLY waits for that. */
async function lock(client: Client, signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [LOCK])
    if (rows[0]?.locked === true) return
    await delay(LOCK_POLL_MS, undefined, signal === undefined ? {} : { signal })
  }
}

async function applyTo(client: Client): Promise<string[]> {
  const applied = await runner({
    dbClient: client,
    dir: FOLDER,
    direction: 'up',
    migrationsTable: 'migration',
    singleTransaction: true,
    noLock: true,
    logger: SILENT,
  })
  return applied.map(({ name }) => name)
}

/** A failure is thrown; what was applied is answered. */
const SILENT = { debug: silence, info: silence, warn: silence, error: silence }
function silence(): void {}
