import type { HoldfastError } from '../core/errors.ts'
import { AnchorHindrance } from './hindrance.ts'

/**
 * Lets one try through at a time while what is tried fails for a reason that all have in common: an account without money,
 * a provider that takes nothing. The others fail with the same words, and ask nobody.
 */
export class Gate {
  readonly #firstMs: number
  readonly #longestMs: number
  #closed: { by: HoldfastError; pauseMs: number; until: number } | undefined

  /** @param firstMs how long it is closed the first time; each time twice as long, up to `longestMs` */
  constructor({ firstMs, longestMs }: { firstMs: number; longestMs: number }) {
    this.#firstMs = firstMs
    this.#longestMs = longestMs
  }

  /** @returns whether this is a try after a failure. @throws AnchorHindrance while it is closed */
  enter(): boolean {
    const closed = this.#closed
    if (closed === undefined) return false
    const now = performance.now()
    if (now < closed.until) throw again(closed.by, closed.until - now)
    // Whoever comes meanwhile waits for what becomes of this try.
    closed.until = now + closed.pauseMs
    return true
  }

  open(): void {
    this.#closed = undefined
  }

  /** Closes it, and answers what is to be told to whom it is closed for. */
  close(by: HoldfastError): AnchorHindrance {
    const pauseMs = Math.min(this.#longestMs, this.#closed === undefined ? this.#firstMs : this.#closed.pauseMs * 2)
    this.#closed = { by, pauseMs, until: performance.now() + pauseMs }
    return again(by, pauseMs)
  }
}

function again({ code, message, cause }: HoldfastError, retryMs: number): AnchorHindrance {
  return new AnchorHindrance(code, message, { retryMs, cause })
}
