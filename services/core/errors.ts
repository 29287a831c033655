/**
 * Expected failures. Each has a stable code that programs branch on and a sentence that a person can act on.
 * What HTTP status a code gets is written once, in `runtime/http/errors.ts`; nothing here knows of HTTP.
 */
export type ErrorCode =
  // what the caller sent
  | 'BAD_REQUEST'
  | 'INVALID_CID'
  | 'INVALID_NAME'
  | 'INVALID_RECORD'
  | 'NAME_LOOP'
  | 'HASH_NOT_ALLOWED'
  | 'INVALID_CAR'
  | 'MALFORMED_BLOCK'
  | 'BLOCK_TOO_LARGE'
  | 'HASH_MISMATCH'
  | 'DAG_TOO_DEEP'
  | 'DAG_TOO_LARGE'
  | 'UNSUPPORTED_CODEC'
  | 'NOT_A_FILE'
  | 'UNPROCESSABLE'
  | 'PAYLOAD_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'METHOD_NOT_ALLOWED'
  | 'LENGTH_MISMATCH'
  | 'NOT_ACCEPTABLE'
  | 'NOT_IMPLEMENTED'
  | 'REQUEST_TIMEOUT'
  // who the caller is
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'INSUFFICIENT_FUNDS'
  | 'TOO_MANY_REQUESTS'
  // what is there
  | 'NOT_FOUND'
  | 'BLOCK_MISSING'
  | 'CONFLICT'
  | 'STALE_SESSION'
  | 'RANGE_NOT_SATISFIABLE'
  | 'NOT_CACHED'
  | 'NAME_NOT_RESOLVED'
  | 'OTHER_NETWORK'
  | 'CONTENT_DENIED'
  | 'CONTENT_DENIED_BY_LAW'
  // what the cluster can do just now
  | 'NO_NODE_AVAILABLE'
  | 'STORAGE_FULL'
  | 'STORAGE_FAILED'
  | 'CORRUPT_BLOCK'
  | 'UPSTREAM_FAILED'
  | 'TIMED_OUT'
  | 'UNAVAILABLE'
  | 'CONFIG'
  | 'INTERNAL_ERROR'

/**
 * An expected failure, made where it happens.
 * @param code stable, for programs
 * @param message one sentence, for people; never contains secrets or a stack
 * @param options `cause` keeps what was caught; `retryAfterSeconds` tells that the same call can succeed later
 */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  readonly code: ErrorCode
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfterSeconds?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** Whether `error` is an expected failure with one of the codes (any code when none is given). */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is HoldfastError {
  return error instanceof HoldfastError && (codes.length === 0 || codes.includes(error.code))
}
