import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  asksWhatIsFinal,
  UNKNOWN_PACE,
  withAnswer,
  withBlocks,
  withoutAbove,
  type FinalityPace,
} from '../../services/verifier/guard/finality-pace.ts'
import { seededRandom } from '../support/seeded-random.ts'

const BLOCKS = 6_000
/** Until the pace is known; then calls and delays count. */
const WARM_UP = 600
const DEPTH = 64
/** For each block; and a few that were left over before. */
const CALLS = 2 + 16 / (BLOCKS - WARM_UP)

interface Course {
  /** Blocks at which what is final moves, beginning with the first, up to the end. */
  moves: number[]
  /** The share of blocks whose logs need not be asked for. */
  saved: number
}

/** Follows a chain on which something waits at each block; answers calls for each block, and how late moves are seen. */
function follow({ moves, saved }: Course): { calls: number; late: number[] } {
  const random = seededRandom(1)
  let pace: FinalityPace = UNKNOWN_PACE
  let [calls, seen] = [0, 0]
  const late: number[] = []
  for (let head = 1; head <= BLOCKS; head++) {
    const isSaved = random() < saved
    if (head === WARM_UP) calls = 0
    calls += isSaved ? 1 : 2
    pace = withBlocks(pace, 1, { saved: Number(isSaved), each: 1 / 16 })
    const waitsFor = BigInt(Math.max(0, seen - DEPTH)) + 1n
    if (!asksWhatIsFinal(pace, { head: BigInt(head), waitsFor })) continue
    calls += 1
    const last = moves.findLast((move) => move <= head) ?? 0
    pace = withAnswer(pace, { head: BigInt(head), final: BigInt(Math.max(0, last - DEPTH)) })
    for (const move of moves) if (move > seen && move <= last && move > WARM_UP) late.push(head - move)
    seen = last
  }
  return { calls: calls / (BLOCKS - WARM_UP), late }
}

function everySo(step: () => number): number[] {
  const moves: number[] = []
  for (let at = step(); at <= BLOCKS; at += step()) moves.push(at)
  return moves
}

function p95(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.95) - 1] ?? Number.NaN
}

suite('asking what is final', () => {
  test('sees each move at once within two calls a block, where some blocks are ruled out', () => {
    for (const saved of [0.15, 0.3, 0.6, 1]) {
      const { calls, late } = follow({ moves: everySo(() => 32), saved })
      assert.ok(calls <= CALLS, `${calls} calls`)
      assert.ok(p95(late) <= 1, `${p95(late)} blocks late, ${saved} saved`)
    }
  })

  test('sees moves that are irregular within a block, where blocks are ruled out', () => {
    const random = seededRandom(2)
    const { calls, late } = follow({ moves: everySo(() => 10 + Math.floor(random() * 40)), saved: 0.9 })
    assert.ok(calls <= CALLS)
    assert.ok(p95(late) <= 1)
  })

  test('learns when moves come, where no block is ruled out', () => {
    const random = seededRandom(3)
    for (const step of [() => 32, () => 31, () => 96, () => 32 - Number(random() < 0.1)]) {
      const { calls, late } = follow({ moves: everySo(step), saved: 0 })
      assert.ok(calls <= CALLS + 1 / 16, `${calls} calls`)
      assert.ok(p95(late) <= 1, `${p95(late)} blocks late`)
    }
  })

  test('is not done twice at a block, or without a call to spend, or for what was told to be final', () => {
    const pace = withAnswer(UNKNOWN_PACE, { head: 100n, final: 60n })
    assert.equal(asksWhatIsFinal(pace, { head: 100n, waitsFor: 61n }), false)
    assert.equal(asksWhatIsFinal(pace, { head: 101n, waitsFor: 61n }), true)
    assert.equal(asksWhatIsFinal(pace, { head: 101n, waitsFor: 60n }), false)
    assert.equal(asksWhatIsFinal({ ...pace, credit: 0.9 }, { head: 101n, waitsFor: 61n }), false)
  })

  test('is done again once blocks that were told to be final are gone', () => {
    const pace = withoutAbove(withAnswer(UNKNOWN_PACE, { head: 100n, final: 60n }), 50n)
    assert.equal(pace.final, 50n)
    assert.equal(asksWhatIsFinal(pace, { head: 90n, waitsFor: 55n }), true)
  })
})
