import type { Bell } from './bell.ts'
import type { Log } from './log.ts'
import { loop } from './loop.ts'

/**
 * Repeats a step while it has more to do, and begins again when the bell rings, and from time to time. Resolves when the
 * last step has ended, after the signal was aborted.
 * @param step answers whether there is more to do
 */
export async function whenRung(
  name: string,
  bell: Bell,
  step: () => Promise<boolean>,
  { everyMs, log, signal }: { everyMs: number; log: Log; signal: AbortSignal },
): Promise<void> {
  const pass = async (): Promise<boolean> => {
    while (!signal.aborted && (await step()));
    await bell.wait(everyMs, signal)
    return true
  }
  await loop(name, pass, { everyMs, log, signal })
}
