interface Weight {
  counted: number
  /** How much of it may belong to the keys that had the place before. */
  inherited: number
}

/**
 * The keys that weigh most in a stream of any number of them, in bounded memory (Space-Saving: Metwally, Agrawal, El
 * Abbadi, 2005). A new key takes the place of the lightest. What is answered for a key is never more than its own weight.
 */
export class FrequentKeys {
  readonly #maxKeys: number
  readonly #weights = new Map<string, Weight>()

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys
  }

  add(key: string, weight: number): void {
    const known = this.#weights.get(key)
    if (known !== undefined) known.counted += weight
    else this.#enter(key, weight)
  }

  of(key: string): number {
    const known = this.#weights.get(key)
    return known === undefined ? 0 : known.counted - known.inherited
  }

  forget(key: string): void {
    this.#weights.delete(key)
  }

  /** Keys with what is known to be theirs, the heaviest first. */
  heaviest(): { key: string; weight: number }[] {
    const keys = Array.from(this.#weights, ([key, { counted, inherited }]) => ({ key, weight: counted - inherited }))
    return keys.toSorted((a, b) => b.weight - a.weight)
  }

  /** Multiplies all weights; keys that come to weigh less than 1 are forgotten. */
  scale(factor: number): void {
    for (const [key, weight] of this.#weights) {
      weight.counted *= factor
      weight.inherited *= factor
      if (weight.counted < 1) this.#weights.delete(key)
    }
  }

  #enter(key: string, weight: number): void {
    let inherited = 0
    if (this.#weights.size >= this.#maxKeys) {
      const lightest = this.#lightest()
      inherited = this.#weights.get(lightest)?.counted ?? 0
      this.#weights.delete(lightest)
    }
    this.#weights.set(key, { counted: inherited + weight, inherited })
  }

  #lightest(): string {
    let lightest = ''
    let least = Number.POSITIVE_INFINITY
    for (const [key, { counted }] of this.#weights) {
      if (counted >= least) continue
      lightest = key
      least = counted
    }
    return lightest
  }
}
