import type { Wakes } from '../../catalog/wake.ts'
import { SECOND_MS } from '../../core/units.ts'

/** Hints can be lost, so the rows are looked at this often anyway. */
const LOOK_EVERY_MS = 2 * SECOND_MS

/**
 * Reads until what was read is good, the time is over or the signal aborts, and answers the last that was read. Looks
 * again whenever pins of the tenant changed.
 */
export async function readUntil<T>(
  read: () => Promise<T>,
  isGood: (value: T) => boolean,
  { wakes, tenantId, timeoutMs, signal }: { wakes: Wakes; tenantId: number; timeoutMs: number; signal: AbortSignal },
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    // The ear is open before the look, so that a change in between is heard.
    using change = nextChange(wakes, tenantId, signal)
    const value = await read()
    const leftMs = deadline - performance.now()
    if (isGood(value) || leftMs <= 0 || signal.aborted) return value
    await change.within(Math.min(leftMs, LOOK_EVERY_MS))
  }
}

function nextChange(
  wakes: Wakes,
  tenantId: number,
  signal: AbortSignal,
): Disposable & { within(ms: number): Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const onAbort = (): void => resolve()
  signal.addEventListener('abort', onAbort, { once: true })
  const stop = wakes.on('pins', (key) => {
    if (key === undefined || key === String(tenantId)) resolve()
  })
  let timer: NodeJS.Timeout | undefined
  return {
    within(ms) {
      timer = setTimeout(resolve, ms)
      return promise
    },
    [Symbol.dispose]() {
      clearTimeout(timer)
      stop()
      signal.removeEventListener('abort', onAbort)
    },
  }
}
