/** A hint that can be waited for. Rung while nobody waits, it ends the next wait at once. */
export class Bell {
  #isRung = false
  #wake: (() => void) | undefined

  readonly ring = (): void => {
    this.#isRung = true
    this.#wake?.()
  }

  /** Waits until the bell rings, `ms` have passed, or the signal is aborted. One waits at a time. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isRung && !signal.aborted && ms > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', this.#wake, { once: true })
      await promise
      clearTimeout(timer)
      signal.removeEventListener('abort', this.#wake)
      this.#wake = undefined
    }
    this.#isRung = false
  }
}
