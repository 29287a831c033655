/** Calls that are kept for later at the most. */
const MOST_CREDIT = 16
/** Calls that are made up for later at the most. */
const MOST_DEBT = 4
/** So many moves tell how often what is final moves; the middle one counts. */
const MOVES = 8
/** Blocks by which moves come earlier now and then: some of an epoch are missed. */
const EARLY = 2n
/** Calls that are kept for when a move is due. */
const RESERVE = 3
/** After so many blocks of which none left over a call, none is expected to. */
const UNSAVED = 32

/**
 * What is known of how a chain becomes final: what is called final moves by many blocks at once, 32 on Ethereum, and on other
 * chains now and then. A question is a call, and calls are saved where a block's filter tells that it has no logs.
 */
export interface FinalityPace {
  /** Calls that may be spent. */
  credit: number
  /** Blocks since one left over a call. */
  unsaved: number
  /** The newest block that is called final, as it was told the last time; -1: not yet. */
  final: bigint
  /** The newest block of the chain then. */
  askedAt: bigint
  /** The newest block when it last moved: above the one, and the other at the most. Undefined: not known. */
  moved: { above: bigint; upTo: bigint } | undefined
  /** Blocks by which it moved, the last times. */
  steps: readonly bigint[]
}

export const UNKNOWN_PACE: FinalityPace = {
  credit: MOST_CREDIT,
  unsaved: 0,
  final: -1n,
  askedAt: -1n,
  moved: undefined,
  steps: [],
}

/**
 * After blocks came.
 * @param saved calls that they left over
 * @param each what may be spent for each of them where none leaves any over: a part of a call
 */
export function withBlocks(
  pace: FinalityPace,
  blocks: number,
  { saved, each }: { saved: number; each: number },
): FinalityPace {
  const unsaved = saved > 0 ? 0 : pace.unsaved + blocks
  const more = unsaved > UNSAVED ? each * blocks : saved
  return { ...pace, unsaved, credit: Math.min(MOST_CREDIT, pace.credit + more) }
}

/** After a question for the newest block that came too early. */
export function withRest(pace: FinalityPace): FinalityPace {
  return { ...pace, credit: Math.max(-MOST_DEBT, pace.credit - 1) }
}

/**
 * Whether to ask now what is final: at each new block where calls are left over, and otherwise when a move is due.
 * @param waitsFor the lowest block that is to become final
 */
export function asksWhatIsFinal(pace: FinalityPace, { head, waitsFor }: { head: bigint; waitsFor: bigint }): boolean {
  const { credit, final, askedAt } = pace
  if (waitsFor <= final || head <= askedAt || credit < 1) return false
  return credit >= RESERVE + 1 || head >= dueAt(pace)
}

/** The next move comes between these blocks, if it comes as those before. */
function nextMove({ moved, steps }: FinalityPace): { above: bigint; upTo: bigint } | undefined {
  const step = steps.toSorted((a, b) => Number(a - b))[Math.floor((steps.length - 1) / 2)]
  if (moved === undefined || step === undefined) return undefined
  return { above: moved.above + step, upTo: moved.upTo + step }
}

/** When it is not known to the block, and there are too few calls to ask at each, half of them are ruled out by one. */
function dueAt(pace: FinalityPace): bigint {
  const next = nextMove(pace)
  if (next === undefined) return -1n
  const width = next.upTo - next.above
  return BigInt(Math.floor(pace.credit)) > width ? next.above : next.above + (width + 1n) / 2n
}

/** After what is final was told to be this. */
export function withAnswer(pace: FinalityPace, { head, final }: { head: bigint; final: bigint }): FinalityPace {
  const asked = { ...pace, credit: pace.credit - 1, final, askedAt: head }
  if (pace.final < 0n || final <= pace.final) return asked
  const steps = [...pace.steps, final - pace.final].slice(-MOVES)
  return { ...asked, steps, moved: seenMove(pace, head) }
}

/** When what is final moved, that was not yet so when it was asked for before. */
function seenMove(pace: FinalityPace, head: bigint): { above: bigint; upTo: bigint } {
  const seen = { above: pace.askedAt, upTo: head }
  const next = nextMove(pace)
  if (next === undefined) return seen
  // Where it comes as it did before, both together tell more.
  if (next.above < seen.upTo && next.upTo > seen.above) {
    return { above: larger(seen.above, next.above), upTo: smaller(seen.upTo, next.upTo) }
  }
  // It was asked for in time, and came a little earlier.
  const isEarly = next.above >= seen.upTo && next.above - seen.upTo < EARLY
  return isEarly ? { above: larger(seen.above, seen.upTo - EARLY), upTo: seen.upTo } : seen
}

/** After blocks above this one turned out not to be on the chain. */
export function withoutAbove(pace: FinalityPace, above: bigint): FinalityPace {
  return above < pace.askedAt ? { ...pace, final: smaller(pace.final, above), askedAt: above } : pace
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
