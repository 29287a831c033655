import { setTimeout as delay } from 'node:timers/promises'

/**
 * Lets bytes pass at a rate, shared by all who take from it, in the order in which they ask; up to one second's worth
 * may pass at once after a pause.
 */
export class TokenBucket {
  readonly #bytesPerSecond: number
  /** When all that was taken so far will have been paid for, on the clock of `performance.now()`. */
  #paidAt = 0

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond
  }

  /** Resolves when the bytes may pass. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const now = performance.now()
    this.#paidAt = Math.max(this.#paidAt, now - BURST_MS) + (bytes / this.#bytesPerSecond) * 1_000
    const waitMs = this.#paidAt - now
    if (waitMs > 0) await delay(waitMs, undefined, { signal })
  }
}

const BURST_MS = 1_000
