import { setTimeout as delay } from 'node:timers/promises'
import { SECOND_MS } from '../core/units.ts'
import type { ApiClient } from './client.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { Output } from './output.ts'
import { ProgressLine } from './progress.ts'

/** Work of the service that takes a while: it is `done` or `failed` at its end. */
interface Work {
  id: string
  state: string
}

export interface WorkWait<View> {
  /** As in `The proof … is still queued`. */
  what: string
  progress: (view: View) => string
  /** What nobody should miss meanwhile; undefined: nothing. @default nothing */
  aside?: (view: View) => string | undefined
  failed: (view: View) => CommandError
  output: Output
  timeoutMs: number
  signal: AbortSignal
}

const ASK_MS = SECOND_MS / 2

/**
 * Asks for work until it is done, and shows how far it is meanwhile.
 * @throws what `failed` makes of it; CommandError with `timeout` when it is not done in time (it goes on)
 */
export async function waitUntilDone<View extends Work>(
  client: ApiClient,
  path: string,
  { what, progress, aside, failed, output, timeoutMs, signal }: WorkWait<View>,
): Promise<View> {
  using line = new ProgressLine(output)
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const view = await client.get<View>(path, { signal })
    if (view.state === 'done') return view
    if (view.state === 'failed') throw failed(view)
    if (performance.now() > deadline) {
      throw new CommandError(EXIT.timeout, `The ${what} ${view.id} is still ${view.state}; it goes on.`)
    }
    const sentence = aside?.(view)
    if (sentence !== undefined) line.aside(sentence)
    line.text(progress(view))
    await delay(ASK_MS, undefined, { signal })
  }
}
