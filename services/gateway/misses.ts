import { RecentMap } from '../core/recent-map.ts'
import { SECOND_MS } from '../core/units.ts'

/** How long nobody is asked again for what nobody had. Whoever pins it meanwhile waits this long at most. */
const REMEMBERED_MS = SECOND_MS
const MOST_REMEMBERED = 16_384

/** What nobody had just now, so that a flood of requests for it asks nobody. */
export class Misses {
  /** Until when each is remembered. */
  readonly #until = new RecentMap<string, number>(MOST_REMEMBERED)

  add(key: string): void {
    this.#until.set(key, performance.now() + REMEMBERED_MS)
  }

  has(key: string): boolean {
    const until = this.#until.get(key)
    if (until === undefined) return false
    if (until > performance.now()) return true
    this.#until.delete(key)
    return false
  }
}
