import type { CID } from 'multiformats/cid'
import { matches } from '../core/verify.ts'
import { keyOf } from './key.ts'
import { LOST, sectionBytes, type BlockRow } from './rows.ts'
import { writeHead } from './section.ts'
import type { BlockIndex } from './block-index.ts'
import type { ReadBuffer } from './read-buffer.ts'
import type { SegmentFiles } from './segment-files.ts'

/** A block that is asked for, and where it was when it was looked up. */
export interface Located {
  cid: CID
  row: BlockRow
}

/** The stored row, undefined when the store does not have the block's bytes. */
export function locate(index: BlockIndex, cid: CID): BlockRow | undefined {
  const row = index.block(keyOf(cid))
  return row === undefined || row.segment === LOST ? undefined : row
}

/**
 * Reads the sections of the blocks, those that lie one after another on disk by one read, into one buffer in the order
 * asked for. Answers for each block its section, with the CID that was asked for, verified; undefined for a block that
 * was not found there whole. All are views of the room, good until it is used again.
 */
export async function loadSections(
  segments: SegmentFiles,
  located: readonly Located[],
  room: ReadBuffer,
): Promise<{ sections: (Uint8Array | undefined)[]; buffer: Buffer; verbatim: boolean }> {
  const buffer = room.take(located.reduce((sum, { row }) => sum + sectionBytes(row), 0))
  const sections: (Uint8Array | undefined)[] = []
  let verbatim = true
  let at = 0
  const reads = runsOf(located).map(async ({ from, to, bytes }) => {
    const first = located[from]
    const target = buffer.subarray(at, (at += bytes))
    const found = first !== undefined && (await segments.read(first.row.segment, first.row.offset, target))
    let start = 0
    for (let i = from; i < to; i += 1) {
      const item = located[i] as Located
      const section = target.subarray(start, (start += sectionBytes(item.row)))
      sections[i] = found ? checked(item, section) : undefined
      if (sections[i] !== section) verbatim = false
    }
  })
  await Promise.all(reads)
  return { sections, buffer, verbatim }
}

/** Neighbours in the list that are neighbours on disk. */
function runsOf(located: readonly Located[]): { from: number; to: number; bytes: number }[] {
  const runs: { from: number; to: number; bytes: number }[] = []
  let before: BlockRow | undefined
  for (const [i, { row }] of located.entries()) {
    const run = runs.at(-1)
    const adjacent = before?.segment === row.segment && before.offset + sectionBytes(before) === row.offset
    if (run !== undefined && adjacent) {
      run.to = i + 1
      run.bytes += sectionBytes(row)
    } else {
      runs.push({ from: i, to: i + 1, bytes: sectionBytes(row) })
    }
    before = row
  }
  return runs
}

/** The section as it is where its head says the CID that was asked for; else one that does, as for version 0 and 1. */
function checked({ cid, row }: Located, section: Uint8Array): Uint8Array | undefined {
  const bytes = section.subarray(row.headBytes)
  if (!matches(cid, bytes)) return undefined
  const head = Buffer.alloc(row.headBytes + cid.bytes.length)
  const headBytes = writeHead(head, 0, cid.bytes, bytes.length)
  if (headBytes === row.headBytes && head.compare(section, 0, headBytes, 0, headBytes) === 0) return section
  return Buffer.concat([head.subarray(0, headBytes), bytes])
}
