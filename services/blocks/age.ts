/**
 * The store's own clock: milliseconds that the store has been open in all its life. It goes by the monotonic clock and
 * is written with every change, so that no step of the wall clock makes a block look old; time while the store was
 * closed does not count.
 */
export class Age {
  readonly #before: number
  readonly #openedAt = performance.now()

  constructor(ageMs: number) {
    this.#before = ageMs
  }

  nowMs(): number {
    return this.#before + Math.floor(performance.now() - this.#openedAt)
  }
}
