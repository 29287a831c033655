import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from './log.ts'

/**
 * Repeats a pass until aborted: `everyMs` (with up to a tenth of jitter) after each end, with growing pauses while it
 * fails. A pass that answers `true` has more to do and is repeated at once. Resolves when the last pass has ended.
 */
export async function loop(
  name: string,
  pass: (signal: AbortSignal) => Promise<boolean | void>,
  { everyMs, log, signal }: { everyMs: number; log: Log; signal: AbortSignal },
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    let pauseMs = everyMs
    try {
      if ((await pass(signal)) === true) pauseMs = 0
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      failures++
      pauseMs = Math.min(everyMs * 2 ** failures, Math.max(everyMs, MAX_PAUSE_MS))
      log.warn({ err: error, loop: name, failures }, 'a pass failed and will be repeated')
    }
    await pause(pauseMs * (1 + Math.random() / 10), signal)
  }
}

const MAX_PAUSE_MS = 30_000

/** Waits, or returns early when aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
