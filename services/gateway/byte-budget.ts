/** Bytes that many may take together. Nobody is refused: whoever can do with less asks first what is free. */
export class ByteBudget {
  readonly #capacity: number
  #taken = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get free(): number {
    return Math.max(0, this.#capacity - this.#taken)
  }

  /** Negative numbers give back. */
  take(bytes: number): void {
    this.#taken += bytes
  }
}
