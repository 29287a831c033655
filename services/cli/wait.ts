import { setTimeout as delay } from 'node:timers/promises'
import { SECOND_MS } from '../core/units.ts'
import type { ApiClient } from './client.ts'
import type { Options } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { Output } from './output.ts'
import { headline } from './pin-answer.ts'
import type { PinDetails } from './pin-view.ts'
import { ProgressLine } from './progress.ts'

/** How long the service holds one question back: progress is shown as often, and the end is known at once. */
const ASK_MS = SECOND_MS

export const WAIT_OPTIONS = {
  wait: { type: 'boolean', help: 'until it is pinned' },
  timeout: { type: 'string', default: '30m', help: 'longest wait, such as 90s' },
} as const satisfies Options

/** The pin as it was last seen, and why the wait did not end well. */
export interface Waited {
  pin: PinDetails
  problem: CommandError | undefined
}

/**
 * Waits until a pin is pinned, showing its copies meanwhile. A service that is away for a while, as when it restarts, is
 * waited for too. The problem is `failure` when the pin failed, `timeout` when it is not pinned in time (it goes on).
 */
export async function waitUntilPinned(
  client: ApiClient,
  requestId: string,
  { output, timeoutMs, signal }: { output: Output; timeoutMs: number; signal: AbortSignal },
): Promise<Waited> {
  using line = new ProgressLine(output)
  const deadline = performance.now() + timeoutMs
  let pin = await client.get<PinDetails>(`/v1/pins/${requestId}`, { signal })
  for (;;) {
    if (pin.status === 'pinned') return { pin, problem: undefined }
    if (pin.status === 'failed') return { pin, problem: new CommandError(EXIT.failure, headline(pin)) }
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) return { pin, problem: tooLate(pin) }
    line.text(headline(pin))
    const query = { wait: 'pinned', timeout: `${Math.ceil(Math.min(ASK_MS, leftMs))}ms` }
    pin = (await askAgain(client, requestId, query, signal)) ?? pin
  }
}

/** Undefined while the service cannot be reached. */
async function askAgain(
  client: ApiClient,
  requestId: string,
  query: Record<string, string>,
  signal: AbortSignal,
): Promise<PinDetails | undefined> {
  try {
    return await client.get<PinDetails>(`/v1/pins/${requestId}`, { query, signal })
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode !== EXIT.unreachable) throw error
    await delay(ASK_MS, undefined, { signal })
    return undefined
  }
}

function tooLate({ requestid, status }: PinDetails): CommandError {
  return new CommandError(
    EXIT.timeout,
    `Not pinned yet but ${status}; it goes on. Ask again with: holdfast pin why ${requestid}`,
  )
}
