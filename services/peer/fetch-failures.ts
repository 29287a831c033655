import { randomUUID } from 'node:crypto'

/** Failures that are remembered for those whose stream was cut off. */
const MAX_REMEMBERED = 64

/** Why fetches failed after their first byte, when it could no longer be said in the answer. */
export class FetchFailures {
  readonly #failures = new Map<string, unknown>()

  newId(): string {
    return randomUUID()
  }

  remember(id: string, error: unknown): void {
    this.#failures.set(id, error)
    const oldest = this.#failures.keys().next().value
    if (this.#failures.size > MAX_REMEMBERED && oldest !== undefined) this.#failures.delete(oldest)
  }

  of(id: string): unknown {
    return this.#failures.get(id)
  }
}
