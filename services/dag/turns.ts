import { setImmediate } from 'node:timers/promises'

/**
 * Lets the event loop turn within long work that waits for nothing by itself, such as a walk of cached blocks: once in
 * so many steps, so that it costs next to nothing and no other request waits long.
 */
export class Turns {
  readonly #steps: number
  #left: number

  constructor(steps: number) {
    this.#steps = steps
    this.#left = steps
  }

  /** Whether it is time for {@link turn}; counts a step. */
  due(): boolean {
    this.#left -= 1
    return this.#left <= 0
  }

  async turn(): Promise<void> {
    this.#left = this.#steps
    await setImmediate()
  }
}
