import { setTimeout as delay } from 'node:timers/promises'

/**
 * Asks again until the answer is neither undefined nor false, and answers it.
 * @throws after `withinMs`, naming what was waited for
 */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  { withinMs = 30_000, everyMs = 10 }: { withinMs?: number; everyMs?: number } = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>
    if (performance.now() > deadline) throw new Error(`within ${withinMs} ms this did not come: ${what}`)
    await delay(everyMs)
  }
}
