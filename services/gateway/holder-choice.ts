import { MINUTE_MS, SECOND_MS } from '../core/units.ts'

/** What is known of another node as a source of blocks. */
interface Standing {
  /** Blocks that are asked of it just now. */
  inFlight: number
  /** Mean time of a block. */
  usualMs: number | undefined
  failures: number
  restsUntil: number
}

/** A node of which nothing is known is worth a try before a far one. */
const UNKNOWN_RTT_MS = 20
/** Weight of the newest block in the mean. */
const NEWEST = 0.2
const LEAST_PATIENCE_MS = 100
const FIRST_PATIENCE_MS = SECOND_MS / 2
const FIRST_REST_MS = SECOND_MS
/** A node that has come back counts again after this at the latest. */
const LONGEST_REST_MS = 15 * SECOND_MS
/** So many failures, with rests between them, are no accident. */
const GIVEN_UP_AFTER = 2
/** Patience in usual times. */
const USUAL_TIMES = 3

/**
 * Which of several nodes a block is asked of: the nearest by round trip, weighed by what it is busy with, so that the
 * blocks of a large file come from several at once where they are about as near; those that failed lately come last.
 */
export class HolderChoice {
  readonly #rttMs: (node: string) => number | undefined
  readonly #standings = new Map<string, Standing>()

  constructor(rttMs: (node: string) => number | undefined) {
    this.#rttMs = rttMs
  }

  /** The best first. */
  order(nodes: readonly string[]): string[] {
    const now = performance.now()
    const costs = new Map(nodes.map((node) => [node, this.#cost(node, now)]))
    return [...nodes].sort((a, b) => (costs.get(a) ?? 0) - (costs.get(b) ?? 0))
  }

  #cost(node: string, now: number): number {
    const { inFlight, restsUntil, usualMs = 0 } = this.#standing(node)
    const rest = Math.max(0, restsUntil - now)
    const distance = Math.max(this.#rttMs(node) ?? UNKNOWN_RTT_MS, usualMs)
    return distance * (1 + inFlight) + rest * MINUTE_MS
  }

  /** How long a block from the node may take before another is asked as well. */
  patienceMs(node: string): number {
    const { usualMs } = this.#standing(node)
    if (usualMs === undefined) return FIRST_PATIENCE_MS
    return Math.max(LEAST_PATIENCE_MS, USUAL_TIMES * Math.max(usualMs, this.#rttMs(node) ?? 0))
  }

  /** How long nothing may come of several blocks: large ones take their time on a thin line. */
  silenceMs(node: string): number {
    return Math.max(FIRST_PATIENCE_MS, this.patienceMs(node))
  }

  /** Counts a block that is asked of the node until it is disposed. */
  asking(node: string): Disposable {
    const standing = this.#standing(node)
    standing.inFlight += 1
    return { [Symbol.dispose]: () => void (standing.inFlight -= 1) }
  }

  answered(node: string, ms: number): void {
    const standing = this.#standing(node)
    standing.usualMs = standing.usualMs === undefined ? ms : standing.usualMs * (1 - NEWEST) + ms * NEWEST
    standing.failures = 0
    standing.restsUntil = 0
  }

  /** Whether the node rests after failing again and again, so that not even a miss waits for it. */
  isGivenUp(node: string): boolean {
    const { failures, restsUntil } = this.#standing(node)
    return failures >= GIVEN_UP_AFTER && restsUntil > performance.now()
  }

  /** A node that fails is left alone for longer and longer; what else fails while it rests says nothing new. */
  failed(node: string): void {
    const standing = this.#standing(node)
    if (standing.restsUntil > performance.now()) return
    const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** standing.failures)
    standing.failures += 1
    standing.restsUntil = performance.now() + restMs
  }

  #standing(node: string): Standing {
    const known = this.#standings.get(node)
    if (known !== undefined) return known
    const made = { inFlight: 0, usualMs: undefined, failures: 0, restsUntil: 0 }
    this.#standings.set(node, made)
    return made
  }
}
