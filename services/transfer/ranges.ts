import type { CID } from 'multiformats/cid'
import type { ManifestEntry } from '../core/block-source.ts'
import { KIB, MIB } from '../core/units.ts'

/** Blocks that are fetched by one call. */
export interface Range {
  cids: CID[]
  /** As the manifest claims. */
  bytes: number
  /** Sources that do not have these blocks. */
  lackedBy: ReadonlySet<string>
}

/** Large enough that the pause between two calls does not count, small enough that all sources share the end. */
const RANGE_BYTES = 4 * MIB
const RANGE_BLOCKS = 1_000

/** Cuts blocks into ranges of about 4 MiB or 1,000 blocks. */
export function* cutRanges(entries: Iterable<ManifestEntry>): Generator<Range> {
  let cids: CID[] = []
  let bytes = 0
  for (const { cid, length } of entries) {
    cids.push(cid)
    bytes += length
    if (bytes < RANGE_BYTES && cids.length < RANGE_BLOCKS) continue
    yield { cids, bytes, lackedBy: new Set() }
    cids = []
    bytes = 0
  }
  if (cids.length > 0) yield { cids, bytes, lackedBy: new Set() }
}

/** A range on its way from a source. */
export interface Lane {
  source: string
  range: Range
  /** Blocks before this one have arrived, or are not had by the source. */
  next: number
  bytes: number
  /** Both on one clock, in milliseconds. */
  startedAt: number
  progressAt: number
}

const STALLED_MS = 2_000
/** Before this a rate says little. */
const SETTLED_MS = 1_000
/** A lane is taken over only by one that is this many times as fast, so that none goes to and fro. */
const MUCH_FASTER = 2
/** What is left of less than this is not worth another call. */
const WORTH_BYTES = 256 * KIB

/**
 * The lane whose rest an idle source had better fetch itself: one that stalls, or is much slower than it.
 * @param bytesPerMs of the idle source; undefined when it has fetched nothing yet
 */
export function laneToTakeOver(
  lanes: Iterable<Lane>,
  idle: { source: string; bytesPerMs: number | undefined },
  now: number,
): Lane | undefined {
  let slowest: Lane | undefined
  for (const lane of lanes) {
    if (lane.source === idle.source || lane.range.lackedBy.has(idle.source)) continue
    if (!isStalled(lane, now) && !isOutrun(lane, idle.bytesPerMs, now)) continue
    if (slowest === undefined || rateOf(lane, now) < rateOf(slowest, now)) slowest = lane
  }
  return slowest
}

function isStalled(lane: Lane, now: number): boolean {
  return now - lane.progressAt > STALLED_MS
}

function isOutrun(lane: Lane, bytesPerMs: number | undefined, now: number): boolean {
  if (bytesPerMs === undefined || now - lane.startedAt < SETTLED_MS) return false
  return lane.range.bytes - lane.bytes > WORTH_BYTES && bytesPerMs > rateOf(lane, now) * MUCH_FASTER
}

/** Bytes per millisecond. */
export function rateOf(lane: Lane, now: number): number {
  return lane.bytes / Math.max(1, now - lane.startedAt)
}
