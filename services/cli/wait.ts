import { setTimeout as delay } from 'node:timers/promises'
import type { ApiClient } from './client.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { PinDetails } from './pin-view.ts'
import { ProgressLine } from './progress.ts'
import type { Output } from './output.ts'

const POLL_MS = 500

/**
 * Waits until a pin is pinned, showing its copies meanwhile.
 * @throws CommandError with `failure` when it failed, `timeout` when it is not pinned in time (the pin goes on)
 */
export async function waitUntilPinned(
  client: ApiClient,
  requestId: string,
  { output, timeoutMs, signal }: { output: Output; timeoutMs: number; signal: AbortSignal },
): Promise<PinDetails> {
  using line = new ProgressLine(output)
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const pin = await client.get<PinDetails>(`/v1/pins/${requestId}`, { signal })
    if (pin.status === 'pinned') return pin
    if (pin.status === 'failed') throw new CommandError(EXIT.failure, failure(pin))
    if (performance.now() > deadline) {
      throw new CommandError(EXIT.timeout, `Not pinned yet; it goes on. Ask again with: holdfast pin why ${requestId}`)
    }
    line.text(`${pin.status}  ${pin.replicas.map(({ node, state }) => `${node}: ${state}`).join('  ')}`)
    await delay(POLL_MS, undefined, { signal })
  }
}

function failure(pin: PinDetails): string {
  const reason = pin.info?.['status_details'] ?? pin.explain.phase
  return `${pin.pin.cid} failed: ${reason}`
}
