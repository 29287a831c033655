import type { Header } from '../../chain/follow/header.ts'
import { SECOND_MS } from '../../core/units.ts'

const SHORTEST_MS = SECOND_MS
const LONGEST_MS = 15 * SECOND_MS
/** Of what was learned, how much a new block counts. */
const WEIGHT = 0.4
/** Later than the next block is due: a question that comes too early costs a call and tells nothing. */
const LATE = 1.1

/** How often the newest block is to be asked for: once for each block, at the pace at which they come. */
export class BlockPace {
  readonly #fixedMs: number | undefined
  #everyMs: number | undefined
  #last: Pick<Header, 'number' | 'time'> | undefined

  /** @param fixedMs undefined: as it is learned */
  constructor(fixedMs: number | undefined) {
    this.#fixedMs = fixedMs
  }

  /** Until the next question, after a block that is new. */
  after({ number, time }: Pick<Header, 'number' | 'time'>): number {
    const last = this.#last
    this.#last = { number, time }
    if (last !== undefined && number > last.number && time >= last.time) {
      const eachMs = ((time - last.time) * SECOND_MS) / Number(number - last.number)
      const within = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, eachMs))
      this.#everyMs = this.#everyMs === undefined ? within : this.#everyMs + WEIGHT * (within - this.#everyMs)
    }
    return this.#fixedMs ?? (this.#everyMs ?? SHORTEST_MS) * LATE
  }

  /** After a question that came too early. */
  afterRest(): number {
    return this.#fixedMs ?? Math.max(SHORTEST_MS / 4, (this.#everyMs ?? SHORTEST_MS) / 4)
  }
}
