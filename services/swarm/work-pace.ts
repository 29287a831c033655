import { setTimeout as sleep } from 'node:timers/promises'
import { SECOND_MS } from '../core/units.ts'

/** Lets work pass at a rate, in the order in which it is asked for; two seconds' worth may pass at once after a pause. */
export class WorkPace {
  readonly #perSecond: number
  /** When all that was taken so far will have been paid for, on the clock of `performance.now()`. */
  #paidAt = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Takes it if it may pass at once. */
  takeNow(work: number): boolean {
    const now = performance.now()
    if (Math.max(this.#paidAt, now - BURST_MS) + (work / this.#perSecond) * SECOND_MS > now) return false
    this.#pay(work, now)
    return true
  }

  /** Resolves when it is its turn, or when the signal aborts. */
  async take(work: number, signal: AbortSignal): Promise<void> {
    const now = performance.now()
    this.#pay(work, now)
    if (this.#paidAt > now) await sleep(this.#paidAt - now, undefined, { signal }).catch(() => {})
  }

  #pay(work: number, now: number): void {
    this.#paidAt = Math.max(this.#paidAt, now - BURST_MS) + (work / this.#perSecond) * SECOND_MS
  }
}

const BURST_MS = 2 * SECOND_MS
