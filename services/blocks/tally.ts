import type { BlockIndex } from './block-index.ts'
import { LOST, sectionBytes, type BlockRow, type StateRow } from './rows.ts'

/** Keeps the figures of segments and of the store in step with the block rows that one index action changes. */
export class Tally {
  readonly #index: BlockIndex
  readonly #segments = new Map<number, { blocks: number; bytes: number }>()

  constructor(index: BlockIndex) {
    this.#index = index
  }

  added(row: BlockRow): void {
    this.#count(row, 1)
  }

  removed(row: BlockRow): void {
    if (row.segment !== LOST) this.#count(row, -1)
  }

  #count(row: BlockRow, sign: 1 | -1): void {
    const change = this.#segments.get(row.segment) ?? { blocks: 0, bytes: 0 }
    change.blocks += sign
    change.bytes += sign * sectionBytes(row)
    this.#segments.set(row.segment, change)
  }

  /** Writes the changed figures, and `change` of the rest of the state. */
  apply(change: Partial<StateRow>): void {
    const state = { ...this.#index.state(), ...change }
    for (const [segment, { blocks, bytes }] of this.#segments) {
      const row = this.#index.segment(segment) ?? { blocks: 0, bytes: 0 }
      this.#index.putSegment(segment, { blocks: row.blocks + blocks, bytes: row.bytes + bytes })
      state.blocks += blocks
      state.storedBytes += bytes
    }
    this.#index.putState(state)
  }
}
