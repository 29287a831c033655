import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { matches } from '../core/verify.ts'
import { MIB } from '../core/units.ts'
import type { ActiveSegment } from './active-segment.ts'
import type { Age } from './age.ts'
import type { Appender, Group } from './appender.ts'
import type { BlockIndex } from './block-index.ts'
import { closeFile, openFile } from './file-io.ts'
import type { InFlight } from './in-flight.ts'
import { ROWS_PER_WRITE, type IndexWriter } from './index-writer.ts'
import { keyOf } from './key.ts'
import { segmentFile } from './layout.ts'
import { LOST, type BlockRow } from './rows.ts'
import { scanSegment } from './scan-segment.ts'
import type { SegmentFiles } from './segment-files.ts'
import { Tally } from './tally.ts'

export interface CollectParts {
  folder: string
  index: BlockIndex
  writer: IndexWriter
  age: Age
  inFlight: InFlight
  segments: SegmentFiles
  active: ActiveSegment
  appender: Appender
  onCorrupt: (cid: CID, row: BlockRow) => Promise<void>
}

/** Below this live share a segment's live records are copied, so that its file can be deleted. */
const MIN_LIVE_SHARE = 0.5
/** The segment that is being written is closed early only when that gives back at least so much. */
const MIN_GAIN_BYTES = MIB

/** Removes what nothing needs from the index, in slices. */
export async function removeUncounted(
  parts: CollectParts,
  options: Abortable & { graceMs: number },
): Promise<{ blocks: number; bytes: number }> {
  const removed = { blocks: 0, bytes: 0 }
  let after: Buffer | undefined
  for (;;) {
    options.signal?.throwIfAborted()
    const page = parts.index.blocksAfter(after, ROWS_PER_WRITE)
    after = page.at(-1)?.key
    if (after === undefined) return removed
    const candidates = page.filter(({ key, row }) => parts.inFlight.mayRemove(key, row, options.graceMs))
    if (candidates.length > 0) {
      const keys = candidates.map(({ key }) => key)
      const slice = await removeSlice(parts, keys, options.graceMs)
      removed.blocks += slice.blocks
      removed.bytes += slice.bytes
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function removeSlice(
  { index, writer, age, inFlight }: CollectParts,
  keys: readonly Buffer[],
  graceMs: number,
): Promise<{ blocks: number; bytes: number }> {
  return inFlight.removing((doom) =>
    writer.write(keys.length, () => {
      const tally = new Tally(index)
      const removed = { blocks: 0, bytes: 0 }
      for (const key of keys) {
        const row = index.block(key)
        if (row === undefined || !inFlight.mayRemove(key, row, graceMs)) continue
        doom(key)
        index.removeBlock(key)
        tally.removed(row)
        if (row.segment === LOST) continue
        removed.blocks += 1
        removed.bytes += row.length
      }
      tally.apply({ ageMs: age.nowMs() })
      return removed
    }),
  )
}

/** Deletes segment files without live records, and those with few after copying these. */
export async function reclaimSegments(parts: CollectParts, options: Abortable): Promise<void> {
  await sealIfWasteful(parts)
  const sealed = (await parts.segments.list()).filter((segment) => parts.active.isSealed(segment))
  // Records that were written to them but are not in the index yet do not count as live; there will be no more of them.
  await parts.appender.settlePresent()
  for (const segment of sealed) {
    options.signal?.throwIfAborted()
    const live = liveBytes(parts, segment)
    const size = await parts.segments.sizeOf(segment)
    if (live > 0 && live >= size * MIN_LIVE_SHARE) continue
    if (live > 0) await copyLive(parts, segment, options)
    if (await forget(parts, segment)) await parts.segments.remove(segment)
  }
}

function liveBytes({ index }: CollectParts, segment: number): number {
  return index.segment(segment)?.bytes ?? 0
}

/** Removes the segment from the index, durably, if no block is in it. */
function forget(parts: CollectParts, segment: number): Promise<boolean> {
  return parts.writer.write(1, () => {
    if (liveBytes(parts, segment) > 0) return false
    parts.index.removeSegment(segment)
    return true
  })
}

async function sealIfWasteful(parts: CollectParts): Promise<void> {
  await parts.appender.exclusively(async () => {
    const { number, end } = parts.active
    const live = liveBytes(parts, number)
    if (parts.active.isSealed(number) || end === 0) return
    if (live === 0 || (live < end * MIN_LIVE_SHARE && end - live >= MIN_GAIN_BYTES)) await parts.active.seal()
  })
}

/** Copies the live records of a segment to the one that is written; the index follows when they are durable. */
async function copyLive(parts: CollectParts, segment: number, options: Abortable): Promise<void> {
  const fd = await openFile(segmentFile(parts.folder, segment), 'r')
  const groups = new Set<Group>()
  try {
    for await (const { cid, bytes, offset } of scanSegment(fd, 0)) {
      options.signal?.throwIfAborted()
      const row = parts.index.block(keyOf(cid))
      if (row?.segment !== segment || row.offset !== offset) continue
      if (matches(cid, bytes)) groups.add(await parts.appender.add(cid.bytes, keyOf(cid), bytes, { segment, offset }))
      else await parts.onCorrupt(cid, row)
    }
  } finally {
    await closeFile(fd)
  }
  await Promise.all([...groups].map((group) => parts.appender.flush(group)))
}
