import { DatabaseError } from 'pg'
import { HoldfastError } from '../core/errors.ts'

/** Serialization failure and deadlock: the transaction was undone and can run again. */
const RETRYABLE: ReadonlySet<string> = new Set(['40001', '40P01'])

/** SQLSTATEs, or classes of them, by which a server says "not now": it starts, stops, fails over, or is full. */
const UNAVAILABLE_STATES: readonly string[] = [
  '08', // connection exceptions
  '53', // out of connections, memory or disk
  '57P', // shutting down, crashed, or not accepting connections yet
  '57014', // statement timeout
  '55P03', // lock timeout
  '25006', // read-only: a standby that was not promoted yet
  '25P03', // idle in transaction for too long
]

/** System errors on the way to the server. */
const UNAVAILABLE_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ETIMEDOUT',
  'EPIPE',
  'ENOENT', // the socket file of a server that is down
])

/** What pg says, without a code, of a connection that broke or was not to be had. */
const UNAVAILABLE_MESSAGES =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|timeout expired)/

export function isRetryable(error: unknown): boolean {
  return error instanceof DatabaseError && RETRYABLE.has(error.code ?? '')
}

/** Whether a statement was refused because one before it in its transaction had failed. */
export function isAborted(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '25P02'
}

/** Whether a constraint of that name was violated (unique, check or foreign key). */
export function violates(error: unknown, constraint: string): boolean {
  return error instanceof DatabaseError && (error.code ?? '').startsWith('23') && error.constraint === constraint
}

/** UNAVAILABLE when the database cannot answer just now; any other error as it is. */
export function expectedFailure(error: unknown): unknown {
  if (!isUnavailable(error)) return error
  return new HoldfastError('UNAVAILABLE', 'The database is not reachable just now. Try again in a moment.', {
    cause: error,
    retryAfterSeconds: 2,
  })
}

function isUnavailable(error: unknown): boolean {
  if (error instanceof DatabaseError) {
    const state = error.code ?? ''
    return UNAVAILABLE_STATES.some((prefix) => state.startsWith(prefix))
  }
  // Of a name with several addresses each is tried, and each has failed.
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isUnavailable)
  if (!(error instanceof Error)) return false
  if (UNAVAILABLE_CODES.has((error as NodeJS.ErrnoException).code ?? '')) return true
  return UNAVAILABLE_MESSAGES.test(error.message)
}
