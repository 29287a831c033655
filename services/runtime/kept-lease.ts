import { hasCode } from '../core/errors.ts'
import { pause } from './loop.ts'

export interface KeptLease extends AsyncDisposable {
  /** Aborted when the work is to end: the lease was lost, or the signal that was given is aborted. */
  signal: AbortSignal
}

/** Renewals that may fail in a row. */
const FAILURES = 3

/**
 * Renews a lease beside the work that it is for, until it is disposed of.
 * @param renew throws CONFLICT when somebody else has the lease now
 * @param everyMs a quarter of the lease leaves room for failures
 */
export function keepLease(
  renew: () => Promise<void>,
  { everyMs, signal }: { everyMs: number; signal: AbortSignal },
): KeptLease {
  const stop = new AbortController()
  const renewing = renewUntil(stop, renew, everyMs)
  return {
    signal: AbortSignal.any([signal, stop.signal]),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await renewing
    },
  }
}

async function renewUntil(stop: AbortController, renew: () => Promise<void>, everyMs: number): Promise<void> {
  for (let failures = 0; failures < FAILURES;) {
    await pause(everyMs, stop.signal)
    if (stop.signal.aborted) return
    try {
      await renew()
      failures = 0
    } catch (error) {
      failures = hasCode(error, 'CONFLICT') ? FAILURES : failures + 1
    }
  }
  stop.abort()
}
