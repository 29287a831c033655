import { HoldfastError, type ErrorCode } from '../../core/errors.ts'

/** The one table from failures to HTTP statuses. */
export const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  BAD_REQUEST: 400,
  INVALID_CID: 400,
  INVALID_NAME: 400,
  INVALID_RECORD: 400,
  NAME_LOOP: 400,
  HASH_NOT_ALLOWED: 400,
  UNSUPPORTED_CODEC: 400,
  INVALID_CAR: 400,
  LENGTH_MISMATCH: 400,
  NOT_A_FILE: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  BLOCK_MISSING: 404,
  OTHER_NETWORK: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  REQUEST_TIMEOUT: 408,
  CONFLICT: 409,
  STALE_SESSION: 409,
  INSUFFICIENT_FUNDS: 409,
  CONTENT_DENIED: 410,
  NOT_CACHED: 412,
  PAYLOAD_TOO_LARGE: 413,
  BLOCK_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  UNPROCESSABLE: 422,
  MALFORMED_BLOCK: 422,
  HASH_MISMATCH: 422,
  DAG_TOO_DEEP: 422,
  DAG_TOO_LARGE: 422,
  TOO_MANY_REQUESTS: 429,
  CONTENT_DENIED_BY_LAW: 451,
  INTERNAL_ERROR: 500,
  CORRUPT_BLOCK: 500,
  CONFIG: 500,
  NOT_IMPLEMENTED: 501,
  UPSTREAM_FAILED: 502,
  NAME_NOT_RESOLVED: 502,
  NO_NODE_AVAILABLE: 503,
  STORAGE_FAILED: 503,
  UNAVAILABLE: 503,
  TIMED_OUT: 504,
  STORAGE_FULL: 507,
}

/** When a client may try again if the failure does not say. */
const DEFAULT_RETRY_AFTER_SECONDS = 2

/** A failure as it goes over the wire. */
export interface HttpFailure {
  status: number
  reason: string
  details: string
  /** Present for failures that pass by themselves. */
  retryAfterSeconds: number | undefined
}

/**
 * What a client is told of an error: an expected failure in its own words; anything else is `INTERNAL_ERROR` with the
 * request id, under which the log has the rest.
 */
export function failureOf(error: unknown, requestId: string): HttpFailure {
  if (!(error instanceof HoldfastError)) {
    const details = `Something went wrong on our side. Quote the request id ${requestId} when you report it.`
    return { status: 500, reason: 'INTERNAL_ERROR', details, retryAfterSeconds: undefined }
  }
  const status = STATUS_OF[error.code]
  const passes = status === 429 || status === 502 || status === 503 || status === 504
  return {
    status,
    reason: error.code,
    details: error.message,
    retryAfterSeconds: error.retryAfterSeconds ?? (passes ? DEFAULT_RETRY_AFTER_SECONDS : undefined),
  }
}

/** The body of every failure (`Failure` of the IPFS Pinning Service API). */
export function failureBody({ reason, details }: Pick<HttpFailure, 'reason' | 'details'>): {
  error: { reason: string; details: string }
} {
  return { error: { reason, details } }
}
