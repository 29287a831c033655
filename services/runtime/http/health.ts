import { z } from 'zod'
import { HoldfastError } from '../../core/errors.ts'
import { SECOND_MS } from '../../core/units.ts'
import { declareRoute, type Route } from './route.ts'

/** Resolves when one thing that requests need is there; rejects with a sentence why not. */
export type Check = (signal: AbortSignal) => Promise<void>

const CHECK_TIMEOUT_MS = 2 * SECOND_MS

const Health = z.object({ status: z.literal('ok') }).meta({ id: 'Health' })

/**
 * `GET /livez`: the process runs. `GET /readyz`: it can serve now, which is so when every check passes and `stopping` is
 * not aborted.
 */
export function healthRoutes({
  checks,
  stopping,
}: {
  checks: Readonly<Record<string, Check>>
  stopping: AbortSignal
}): Route<never>[] {
  return [
    declareRoute(
      {
        method: 'GET',
        path: '/livez',
        summary: 'Whether the process runs',
        access: 'public',
        answers: { 200: Health },
      },
      async () => ({ status: 200, body: { status: 'ok' } }),
    ),
    declareRoute(
      {
        method: 'GET',
        path: '/readyz',
        summary: 'Whether it can serve now',
        access: 'public',
        answers: { 200: Health },
      },
      async () => {
        if (stopping.aborted) throw new HoldfastError('UNAVAILABLE', 'The process is stopping.')
        await Promise.all(Object.entries(checks).map(([name, check]) => insist(name, check)))
        return { status: 200, body: { status: 'ok' } }
      },
    ),
  ]
}

async function insist(name: string, check: Check): Promise<void> {
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS)
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('no answer in time')), { once: true })
  })
  try {
    await Promise.race([check(signal), late])
  } catch (cause) {
    throw new HoldfastError('UNAVAILABLE', `${name} is not ready: ${(cause as Error).message}.`, { cause })
  }
}
