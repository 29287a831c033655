import { fstat } from 'node:fs'
import { promisify } from 'node:util'
import { matches } from '../core/verify.ts'
import type { Age } from './age.ts'
import type { BlockIndex } from './block-index.ts'
import { enterBlocks, type Entering } from './enter-blocks.ts'
import { closeFile, openFile, syncFile, truncateFile } from './file-io.ts'
import { ROWS_PER_WRITE, type IndexWriter } from './index-writer.ts'
import { keyOf } from './key.ts'
import { segmentFile } from './layout.ts'
import { scanSegment } from './scan-segment.ts'
import type { SegmentFiles } from './segment-files.ts'

const statFile = promisify(fstat)

interface Parts {
  folder: string
  index: BlockIndex
  writer: IndexWriter
  age: Age
  segments: SegmentFiles
}

/**
 * Brings the index up to what is in the segments: replays records behind the cursor, each verified, and cuts off a torn
 * tail. When the index was lost, that is every record; roots are then unknown, and their blocks uncounted.
 * Answers the last segment and where it can be written on; an infinite end means that it takes no more.
 */
export async function recover(parts: Parts): Promise<{ segment: number; end: number }> {
  const { index, segments } = parts
  const cursor = index.state()
  const rebuilding = cursor.cursorSegment === 0
  let last = { segment: cursor.cursorSegment, end: Number.POSITIVE_INFINITY }
  const files = await segments.list()
  for (const segment of files) {
    if (segment < cursor.cursorSegment) {
      // Emptied by collection; the process ended before the file was deleted.
      if (index.segment(segment) === undefined) await segments.remove(segment)
      continue
    }
    const from = segment === cursor.cursorSegment ? cursor.cursorOffset : 0
    last = await replay(parts, segment, from, { cutTail: !rebuilding && segment === files.at(-1) })
  }
  return last
}

async function replay(
  parts: Parts,
  segment: number,
  from: number,
  options: { cutTail: boolean },
): Promise<{ segment: number; end: number }> {
  const fd = await openFile(segmentFile(parts.folder, segment), 'r+')
  try {
    // What is read may be in the page cache only; the index must not know of it before the disk has it.
    await syncFile(fd)
    const end = await replayRecords(parts, fd, segment, from)
    const { size } = await statFile(fd)
    if (size === end) return { segment, end }
    if (size < end || !options.cutTail) return { segment, end: Number.POSITIVE_INFINITY }
    await truncateFile(fd, end)
    await syncFile(fd)
    return { segment, end }
  } finally {
    await closeFile(fd)
  }
}

/** Answers the end of the last valid record. */
async function replayRecords(parts: Parts, fd: number, segment: number, from: number): Promise<number> {
  let end = from
  let records: Entering[] = []
  for await (const { cid, bytes, offset, headBytes, length } of scanSegment(fd, from)) {
    if (!matches(cid, bytes)) continue
    end = offset + headBytes + length
    records.push({ key: new Uint8Array(keyOf(cid)), segment, offset, headBytes, length, movedFrom: undefined })
    if (records.length < ROWS_PER_WRITE) continue
    await enterBlocks(parts, records, { segment, offset: end })
    records = []
  }
  await enterBlocks(parts, records, { segment, offset: end })
  return end
}
