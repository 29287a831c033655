import { RecentMap } from '../core/recent-map.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'

/** What is left of a budget after one more request. */
export interface Budget {
  allowed: boolean
  limit: number
  remaining: number
  /** Seconds until the budget is whole again. */
  resetSeconds: number
  /** The same as Unix time. */
  resetAtSeconds: number
}

interface Window {
  endsAt: number
  used: number
}

const WINDOW_MS = MINUTE_MS
/** Keys that are remembered; when there are more, the one that came first is forgotten. Bounds memory, not safety. */
const MAX_KEYS = 50_000

/** Counts per key in windows of a minute, in the memory of this process. */
export class RequestBudget {
  readonly #limit: number
  readonly #windows = new RecentMap<string, Window>(MAX_KEYS)

  constructor(limitPerMinute: number) {
    this.#limit = limitPerMinute
  }

  /** Takes one from the key's budget. */
  take(key: string, now = Date.now()): Budget {
    const window = this.#windowOf(key, now)
    const allowed = window.used < this.#limit
    if (allowed) window.used++
    return {
      allowed,
      limit: this.#limit,
      remaining: this.#limit - window.used,
      resetSeconds: Math.ceil((window.endsAt - now) / SECOND_MS),
      resetAtSeconds: Math.ceil(window.endsAt / SECOND_MS),
    }
  }

  #windowOf(key: string, now: number): Window {
    const known = this.#windows.get(key)
    if (known !== undefined && known.endsAt > now) return known
    const fresh = { endsAt: now + WINDOW_MS, used: 0 }
    this.#windows.set(key, fresh)
    return fresh
  }
}
