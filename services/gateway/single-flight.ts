import { unlessAborted } from '../core/unless-aborted.ts'

interface Flight<T> {
  answer: Promise<T>
  waiting: number
  stop: AbortController
}

/**
 * Work that many ask for at once and that is done once. It is aborted when the last of them has gone; one that goes
 * leaves the others theirs.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()

  has(key: string): boolean {
    return this.#flights.has(key)
  }

  /** @throws what `work` throws; the reason of `signal` when that is aborted first */
  async share(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    const flight = this.#flights.get(key) ?? this.#start(key, work)
    flight.waiting += 1
    try {
      return await unlessAborted(flight.answer, signal)
    } finally {
      flight.waiting -= 1
      if (flight.waiting === 0) {
        flight.stop.abort()
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const stop = new AbortController()
    const answer = work(stop.signal)
    answer.catch(() => {})
    const flight = { answer, waiting: 0, stop }
    this.#flights.set(key, flight)
    return flight
  }
}
