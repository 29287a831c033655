import type { Age } from './age.ts'
import type { BlockIndex } from './block-index.ts'
import { ROWS_PER_WRITE, type IndexWriter } from './index-writer.ts'
import { LOST, type BlockRow } from './rows.ts'
import { Tally } from './tally.ts'

/** A record in a segment that is to become part of the index. */
export interface Entering {
  key: Uint8Array
  segment: number
  offset: number
  headBytes: number
  length: number
  /** Where compaction copied it from; undefined for a new block. */
  movedFrom: { segment: number; offset: number } | undefined
}

/**
 * Makes records part of the index, in transactions of bounded size, and moves the cursor of recovery behind them.
 * A block that was lost is found again with all its counts; a record whose block is elsewhere already stays dead.
 */
export async function enterBlocks(
  { index, writer, age }: { index: BlockIndex; writer: IndexWriter; age: Age },
  records: readonly Entering[],
  cursor: { segment: number; offset: number },
): Promise<void> {
  const writes: Promise<void>[] = []
  for (let from = 0; from < records.length || from === 0; from += ROWS_PER_WRITE) {
    const slice = records.slice(from, from + ROWS_PER_WRITE)
    const last = from + slice.length >= records.length
    const end = last ? cursor : endBefore(records[from + ROWS_PER_WRITE])
    writes.push(writer.write(slice.length, () => enterSlice(index, age.nowMs(), slice, end)))
  }
  await Promise.all(writes)
}

function endBefore(next: Entering | undefined): { segment: number; offset: number } | undefined {
  return next === undefined ? undefined : { segment: next.segment, offset: next.offset }
}

function enterSlice(
  index: BlockIndex,
  nowMs: number,
  records: readonly Entering[],
  cursor: { segment: number; offset: number } | undefined,
): void {
  const tally = new Tally(index)
  for (const record of records) {
    const before = index.block(record.key)
    const after = record.movedFrom === undefined ? arrived(before, record, nowMs) : moved(before, record)
    if (after === undefined) continue
    if (before !== undefined) tally.removed(before)
    tally.added(after)
    index.putBlock(record.key, after)
  }
  const change = cursor === undefined ? {} : { cursorSegment: cursor.segment, cursorOffset: cursor.offset }
  tally.apply({ ageMs: nowMs, ...change })
}

function arrived(before: BlockRow | undefined, record: Entering, nowMs: number): BlockRow {
  if (before !== undefined && before.segment !== LOST) return { ...before, touchedMs: nowMs }
  const { segment, offset, headBytes, length } = record
  return {
    segment,
    offset,
    headBytes,
    length,
    refs: before?.refs ?? 0,
    countedBy: before?.countedBy ?? 0,
    touchedMs: nowMs,
  }
}

/** Undefined when the block is no longer where it was copied from. */
function moved(before: BlockRow | undefined, record: Entering): BlockRow | undefined {
  const from = record.movedFrom
  if (before === undefined || before.segment !== from?.segment || before.offset !== from.offset) return undefined
  return { ...before, segment: record.segment, offset: record.offset, headBytes: record.headBytes }
}
