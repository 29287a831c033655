import { HoldfastError, type ErrorCode } from '../core/errors.ts'

/** System errors that mean the disk is full; anything else means that it does not work. */
const FULL = new Set(['ENOSPC', 'EDQUOT'])

/** A failed write as the store tells it. Expected failures pass unchanged. */
export function writeFailure(cause: unknown): HoldfastError {
  if (cause instanceof HoldfastError) return cause
  const reason = systemCode(cause)
  return FULL.has(reason)
    ? new HoldfastError('STORAGE_FULL', `The disk of the block store is full (${reason}).`, { cause })
    : new HoldfastError('STORAGE_FAILED', `The disk of the block store failed to write (${reason}).`, { cause })
}

/** The same failure for another caller, who can try again when the store has recovered. */
export function repeatFailure(failure: HoldfastError): HoldfastError {
  const code: ErrorCode = failure.code
  return new HoldfastError(code, failure.message, { cause: failure, retryAfterSeconds: 5 })
}

export function systemCode(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error ? String(error.code) : error.message
}
