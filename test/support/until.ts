import { setTimeout as delay } from 'node:timers/promises'

const LOOK_EVERY_MS = 25

/**
 * Looks at a condition until it holds, and answers what it found.
 * @throws Error with `what` when it does not hold in time; the last error of the condition is its cause
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  while (performance.now() < deadline) {
    try {
      const found = await condition()
      if (found !== undefined && found !== false) return found
    } catch (error) {
      last = error
    }
    await delay(LOOK_EVERY_MS)
  }
  throw new Error(`${what} did not happen within ${timeoutMs} ms`, { cause: last })
}
