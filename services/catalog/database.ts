import { Client, Pool, type QueryConfig, type QueryResult } from 'pg'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import { connectionConfig } from './connection-config.ts'
import { expectedFailure, isAborted, isRetryable } from './database-errors.ts'

/**
 * Something that statements are sent to: a database (each statement is a transaction of its own) or one transaction.
 *
 * What columns become: `timestamptz` is text with six decimals, `2026-01-02T03:04:05.678901Z`, never a Date, which would
 * cut it to milliseconds; `bigint` is a decimal string, as ids need it, so counts and sizes are cast to `float8` in the
 * statement or passed through `Number`; `integer` and `float8` are numbers, `bytea` is a Buffer, `jsonb` is parsed.
 */
export interface Sql {
  /**
   * The rows that a statement answers.
   * @throws UNAVAILABLE with `retryAfterSeconds` when the database cannot answer just now; pg's DatabaseError otherwise
   */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Like `query`, parsed once per connection under the name: for the statements of hot paths. */
  prepared<Row extends object>(name: string, text: string, values?: readonly unknown[]): Promise<Row[]>
  /** How many rows a statement touched. */
  run(text: string, values?: readonly unknown[]): Promise<number>
}

export interface Database extends Sql, AsyncDisposable {
  /**
   * Runs `work` between BEGIN and COMMIT, and rolls back when it throws. Serialization failures and deadlocks repeat it
   * from the start, so it must have no effects but its statements. These run in the order in which they are asked for;
   * those that do not need each other's answers can be asked for at once (`Promise.all`) and share a round trip.
   * @throws what `work` throws; UNAVAILABLE as `query`, then the outcome of the commit is unknown
   */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  /** A connection of one's own outside the pool, not connected yet, for LISTEN. The caller ends it. */
  connection(): Client
}

export interface DatabaseOptions {
  /** Shown in `pg_stat_activity`. */
  name?: string
  /**
   * Connections of this process. A little more than two for each core of the database's server keeps it busy; more only
   * queue there, where they cost memory.
   */
  connections?: number
  /** The longest that a statement may run. */
  statementTimeoutMs?: number
}

const CONNECTIONS = 10
const STATEMENT_TIMEOUT_MS = 30 * SECOND_MS
/** A request that has waited so long for a connection is better answered 503 than served to someone who has gone. */
const ACQUIRE_TIMEOUT_MS = 5 * SECOND_MS
const ATTEMPTS = 6

/** The database behind a connection string. Nothing is connected before the first statement. */
export function openDatabase(url: string, options: DatabaseOptions = {}): Database {
  const { name = 'holdfast', connections = CONNECTIONS, statementTimeoutMs = STATEMENT_TIMEOUT_MS } = options
  const config = connectionConfig(url, { name, statementTimeoutMs })
  const pool = new Pool({
    ...config,
    // Statements of a transaction that are asked for at once are sent at once, not each after the answer before.
    pipeline: true,
    max: connections,
    connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS,
    idleTimeoutMillis: 30 * SECOND_MS,
  })
  // A connection that dies between two statements tells so by this event as well; the next statement fails by itself.
  const ignore = (): void => undefined
  pool.on('error', ignore)
  pool.on('connect', (client) => client.on('error', ignore))

  return {
    ...sqlOver((query) => retrying(() => pool.query(query))),
    transaction: (work) => retrying(() => transact(pool, work)),
    connection: () => new Client(config),
    async [Symbol.asyncDispose]() {
      await pool.end()
    },
  }
}

type Send = (query: QueryConfig) => Promise<QueryResult>

function sqlOver(send: Send): Sql {
  return {
    async query<Row extends object>(text: string, values: readonly unknown[] = []) {
      return (await send({ text, values: [...values] })).rows as Row[]
    },
    async prepared<Row extends object>(name: string, text: string, values: readonly unknown[] = []) {
      return (await send({ name, text, values: [...values] })).rows as Row[]
    },
    async run(text, values = []) {
      return (await send({ text, values: [...values] })).rowCount ?? 0
    },
  }
}

async function transact<T>(pool: Pool, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken = false
  let isOver = false
  let first: unknown
  const send: Send = async (query) => {
    // What goes on beside a statement that failed must not write outside of the transaction.
    if (isOver) throw first
    try {
      return await client.query(query)
    } catch (error) {
      first ??= error
      throw error
    }
  }
  try {
    const [, answer] = await Promise.all([client.query('begin'), work(sqlOver(send))])
    await client.query('commit')
    return answer
  } catch (error) {
    first ??= error
    isOver = true
    broken = await client.query('rollback').then(
      () => false,
      () => true,
    )
    // Of statements that were sent at once those behind the one that failed only say that there was one.
    throw isAborted(error) ? first : error
  } finally {
    client.release(broken)
  }
}

/** Both failures leave nothing behind, so the same work may run again; the pause grows and differs between callers. */
async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isRetryable(error)) throw expectedFailure(error)
      if (attempt === ATTEMPTS) throw contention(error)
      await delay(Math.random() * 10 * 2 ** attempt)
    }
  }
}

function contention(cause: unknown): HoldfastError {
  return new HoldfastError('UNAVAILABLE', 'Too many changes to the same rows at once. Try again.', {
    cause,
    retryAfterSeconds: 1,
  })
}
