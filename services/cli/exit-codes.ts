import { hasCode, type ErrorCode } from '../core/errors.ts'

/** What a script can tell from the exit code. */
export const EXIT = {
  ok: 0,
  failure: 1,
  /** The command line, a file or a CID that it names, or a value in it. */
  usage: 2,
  /** Token missing, wrong or without the scope, or a limit of the account. */
  auth: 3,
  notFound: 4,
  /** Bytes did not match their CID, or tokens have a verdict that they must not have. */
  verification: 5,
  /** The wait ended; the operation goes on, and its id was printed. */
  timeout: 6,
  unreachable: 7,
  interrupted: 130,
  /** Whoever read standard output is gone, as of a program that SIGPIPE ends. */
  pipeClosed: 141,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends a command with a sentence on standard error and an exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

const OF_CODE: Partial<Record<ErrorCode, ExitCode>> = {
  BAD_REQUEST: EXIT.usage,
  INVALID_CID: EXIT.usage,
  INVALID_NAME: EXIT.usage,
  INVALID_RECORD: EXIT.usage,
  HASH_NOT_ALLOWED: EXIT.usage,
  UNSUPPORTED_MEDIA_TYPE: EXIT.usage,
  UNAUTHORIZED: EXIT.auth,
  FORBIDDEN: EXIT.auth,
  INSUFFICIENT_FUNDS: EXIT.auth,
  PAYLOAD_TOO_LARGE: EXIT.auth,
  TOO_MANY_REQUESTS: EXIT.auth,
  NOT_FOUND: EXIT.notFound,
  BLOCK_MISSING: EXIT.notFound,
  HASH_MISMATCH: EXIT.verification,
  CORRUPT_BLOCK: EXIT.verification,
  TIMED_OUT: EXIT.timeout,
  REQUEST_TIMEOUT: EXIT.timeout,
  UPSTREAM_FAILED: EXIT.unreachable,
  UNAVAILABLE: EXIT.unreachable,
  NO_NODE_AVAILABLE: EXIT.unreachable,
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandError) return error.exitCode
  return hasCode(error) ? (OF_CODE[error.code] ?? EXIT.failure) : EXIT.failure
}

/** By the service's own reason; without one, as of a proxy that answers in its place, by the status. */
export function exitCodeOfAnswer(status: number, reason: string | undefined): ExitCode {
  if (reason !== undefined) return OF_CODE[reason as ErrorCode] ?? EXIT.failure
  if (status === 401 || status === 403 || status === 407 || status === 429) return EXIT.auth
  if (status === 404 || status === 410) return EXIT.notFound
  return status >= 502 && status <= 504 ? EXIT.unreachable : EXIT.failure
}
