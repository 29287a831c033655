import { HoldfastError } from '../core/errors.ts'

/** A bounded number of things at once, a bounded number in the queue behind them, first come, first served. */
export class Slots {
  readonly #size: number
  readonly #maxWaiting: number
  #taken = 0
  readonly #waiting = new Set<() => void>()

  constructor(size: number, maxWaiting: number) {
    this.#size = size
    this.#maxWaiting = maxWaiting
  }

  /**
   * Waits for a slot, which is given back by disposing it.
   * @throws UNAVAILABLE when too many wait already; the signal's reason
   */
  async enter(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted()
    if (this.#taken < this.#size) {
      this.#taken += 1
      return this.#slot()
    }
    if (this.#waiting.size >= this.#maxWaiting) {
      throw new HoldfastError('UNAVAILABLE', 'Too many transfers are waiting here.', { retryAfterSeconds: 1 })
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = (): void => {
      this.#waiting.delete(resolve)
      reject(signal?.reason)
    }
    this.#waiting.add(resolve)
    signal?.addEventListener('abort', onAbort)
    await promise.finally(() => signal?.removeEventListener('abort', onAbort))
    return this.#slot()
  }

  #slot(): Disposable {
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        this.#leave()
      },
    }
  }

  /** The slot passes to the one that has waited longest. */
  #leave(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#taken -= 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
