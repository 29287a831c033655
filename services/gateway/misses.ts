import { SECOND_MS } from '../core/units.ts'

/** How long nobody is asked again for what nobody had. Whoever pins it meanwhile waits this long at most. */
const REMEMBERED_MS = SECOND_MS
const MOST_REMEMBERED = 16_384

/** What nobody had just now, so that a flood of requests for it asks nobody. */
export class Misses {
  /** Until when each is remembered, the oldest first. */
  readonly #until = new Map<string, number>()

  add(key: string): void {
    this.#until.delete(key)
    this.#until.set(key, performance.now() + REMEMBERED_MS)
    const [oldest] = this.#until.keys()
    if (this.#until.size > MOST_REMEMBERED && oldest !== undefined) this.#until.delete(oldest)
  }

  has(key: string): boolean {
    const until = this.#until.get(key)
    if (until === undefined) return false
    if (until > performance.now()) return true
    this.#until.delete(key)
    return false
  }
}
