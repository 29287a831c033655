import { hasCode } from '../core/errors.ts'
import type { Log } from './log.ts'

/**
 * The life of a process: runs `main` until it returns or a signal asks it to stop, and turns the outcome into an exit
 * code. `main` gets an AbortSignal, disposes what it opened, and returns. A second signal ends the process at once, unless
 * it `isChild` of another that ends it when it takes too long: where a terminal signals every process, the signal of the
 * parent is the second.
 */
export async function run(
  main: (signal: AbortSignal) => Promise<void>,
  log?: Log,
  { isChild = false }: { isChild?: boolean } = {},
): Promise<void> {
  const stop = new AbortController()
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted && isChild) return
    if (stop.signal.aborted) process.exit(EXIT_SIGNALLED)
    log?.info({ signal: name }, 'stopping')
    stop.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // Waiting for a signal is no handle: a process whose children have all ended would end with them.
  const alive = setInterval(() => undefined, LONGEST_TIMER_MS)
  try {
    await main(stop.signal)
  } catch (error) {
    if (stop.signal.aborted && (error as Error).name === 'AbortError') return
    complain(error, log)
    process.exitCode = 1
  } finally {
    clearInterval(alive)
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

const EXIT_SIGNALLED = 130
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** An expected failure is one sentence; anything else is a defect and shows where it happened. */
function complain(error: unknown, log: Log | undefined): void {
  if (log !== undefined) log.error({ err: error }, 'the process ends by an error')
  else if (hasCode(error)) process.stderr.write(`holdfast: ${error.message}\n`)
  else process.stderr.write(`holdfast: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
