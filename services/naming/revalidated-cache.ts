import type { Abortable } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { RecentMap } from '../core/recent-map.ts'
import { SECOND_MS } from '../core/units.ts'
import { unlessAborted } from '../core/unless-aborted.ts'

/** How long it stays known that there is nothing, or that asking failed while something usable was there. */
const ASK_AGAIN_MS = 15 * SECOND_MS
/** For values that say they are fresh for no time at all. */
const MIN_FRESH_MS = SECOND_MS
const MAX_SEARCHES = 1_024

export interface CacheOptions<V> {
  /** For how long after it was found a value needs no new search. */
  freshMs: (value: V) => number
  /** Until when (milliseconds since 1970) a value may be served while a search for a newer one goes on behind. */
  usableUntilMs: (value: V, foundAtMs: number) => number
  /** Which of two values stays. */
  better: (known: V, found: V) => V
  nowMs: () => number
  /** Values kept; the least recently used goes first. */
  entries: number
  /** When a search is given up. */
  searchMs: number
}

interface Entry<V> {
  value: V | undefined
  freshUntilMs: number
  usableUntilMs: number
}

interface Flight {
  /** Settles as soon as there is something to serve, else with the end of the search. */
  first: Promise<void>
  ended: Promise<void>
}

/**
 * Values that are searched for once for all who ask, served from memory while they are fresh, and served while they are
 * stale but usable with a search going on behind. A search may find several values; the first usable one is served and
 * a better one replaces it. A known value is never replaced by a worse one, not even after its end.
 */
export class RevalidatedCache<V> implements AsyncDisposable {
  readonly #options: CacheOptions<V>
  readonly #entries: RecentMap<string, Entry<V>>
  readonly #flights = new Map<string, Flight>()
  readonly #stop = new AbortController()

  constructor(options: CacheOptions<V>) {
    this.#options = options
    this.#entries = new RecentMap(options.entries)
  }

  /**
   * The value; undefined when the search found none that is usable. `signal` ends the waiting, not the search. With
   * `isRevalidated` it is answered only after a search has ended, also when one is known.
   * @throws what the search throws; TIMED_OUT when it took too long; UNAVAILABLE when too many are under way
   */
  async get(
    key: string,
    search: (signal: AbortSignal) => AsyncIterable<V>,
    { signal, isRevalidated = false }: Abortable & { isRevalidated?: boolean | undefined } = {},
  ): Promise<V | undefined> {
    const usable = this.#usable(key)
    const isFresh = (this.#entries.get(key)?.freshUntilMs ?? 0) > this.#options.nowMs()
    if (usable !== undefined && !isRevalidated) {
      if (!isFresh && this.#flights.size < MAX_SEARCHES) this.#flight(key, search)
      return usable
    }
    if (usable === undefined && isFresh && !this.#flights.has(key)) return undefined
    const { first, ended } = this.#flight(key, search)
    await unlessAborted(isRevalidated ? ended : first, signal)
    // What was known is served also when the search for something newer failed.
    return this.#usable(key) ?? (await first.then(() => undefined))
  }

  /** Takes a value that came without a search. */
  offer(key: string, value: V): void {
    const { better, freshMs, usableUntilMs, nowMs } = this.#options
    const now = nowMs()
    const known = this.#entries.get(key)?.value
    const kept = known === undefined ? value : better(known, value)
    const until = usableUntilMs(kept, now)
    const freshUntilMs =
      until >= now ? Math.min(now + Math.max(freshMs(kept), MIN_FRESH_MS), until) : now + ASK_AGAIN_MS
    this.#put(key, { value: kept, freshUntilMs, usableUntilMs: until })
  }

  /** Ends all searches. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new HoldfastError('UNAVAILABLE', 'This server is shutting down.'))
    await Promise.all([...this.#flights.values()].map(({ ended }) => ended))
  }

  #usable(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry?.value === undefined || entry.usableUntilMs < this.#options.nowMs()) return undefined
    this.#put(key, entry)
    return entry.value
  }

  #put(key: string, entry: Entry<V>): void {
    this.#entries.set(key, entry)
  }

  #flight(key: string, search: (signal: AbortSignal) => AsyncIterable<V>): Flight {
    const known = this.#flights.get(key)
    if (known !== undefined) return known
    if (this.#flights.size >= MAX_SEARCHES) {
      throw new HoldfastError('UNAVAILABLE', 'Too many names are being looked up just now; try again.')
    }
    const first = Promise.withResolvers<void>()
    first.promise.catch(() => {})
    const ended = this.#run(key, search, first.resolve)
      .then(first.resolve, first.reject)
      .finally(() => this.#flights.delete(key))
    const flight = { first: first.promise, ended }
    this.#flights.set(key, flight)
    return flight
  }

  async #run(key: string, search: (signal: AbortSignal) => AsyncIterable<V>, onUsable: () => void): Promise<void> {
    const timeout = AbortSignal.timeout(this.#options.searchMs)
    let isAnswered = false
    try {
      for await (const value of search(AbortSignal.any([this.#stop.signal, timeout]))) {
        this.offer(key, value)
        isAnswered = true
        if (this.#usable(key) !== undefined) onUsable()
      }
    } catch (cause) {
      if (this.#usable(key) === undefined) throw timeout.aborted ? tookTooLong(cause) : cause
    }
    if (!isAnswered) this.#askLater(key)
  }

  /** What a search did not find need not be searched for again at once; what is known stays. */
  #askLater(key: string): void {
    const soon = this.#options.nowMs() + ASK_AGAIN_MS
    const entry = this.#entries.get(key) ?? { value: undefined, freshUntilMs: 0, usableUntilMs: 0 }
    this.#put(key, { ...entry, freshUntilMs: Math.max(entry.freshUntilMs, soon) })
  }
}

function tookTooLong(cause: unknown): HoldfastError {
  return new HoldfastError('TIMED_OUT', 'The name could not be resolved in time.', { cause, retryAfterSeconds: 5 })
}
