import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { checkCid, DAG_PB, isIdentity, RAW } from '../core/cid.ts'
import { MAX_DAG_DEPTH, MAX_PENDING_LINKS } from '../core/limits.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { hamtShape } from '../dag/hamt.ts'
import { linksOf } from '../dag/links.ts'
import { unixfsNode, type FileNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { SeenBlocks } from '../dag/seen-blocks.ts'
import { Turns } from '../dag/turns.ts'
import { tooDeep, tooManyLinks } from '../dag/walk.ts'
import type { ByteRange } from './byte-ranges.ts'
import type { DagScope } from './car-parameters.ts'

/** Which blocks below one are wanted: all; those that make up the file or directory that it is; none. */
export interface CarSelection {
  scope: DagScope
  /** Only those with bytes of the file in this range. */
  range: ByteRange | undefined
  /** Blocks as often as the walk meets them, instead of once. */
  duplicates: boolean
}

/** A block to visit. `range` is counted from the first byte that the block stands for. */
interface Wanted {
  cid: CID
  range: ByteRange | undefined
  /** It is being read already, ahead of its turn. */
  bytes?: Promise<Uint8Array>
}

/** Blocks read ahead of their turn, over all levels: what hides the way to another node, and bounds what it holds. */
const READ_AHEAD = 4
/** Visits between two turns of the event loop, when all blocks are in a cache. */
const VISITS_PER_TURN = 256

/**
 * The blocks of a CAR in the order in which they are sent: the path's proof, then the selection below its end, depth
 * first, links in their order. What is inside CIDs is followed, but is no block.
 * @param first the content's own block, which has been read already
 * @throws BLOCK_MISSING, DAG_TOO_DEEP, DAG_TOO_LARGE, MALFORMED_BLOCK, BLOCK_TOO_LARGE, HASH_NOT_ALLOWED,
 *   UNSUPPORTED_CODEC
 */
export async function* carBlocks(
  first: Block,
  proof: readonly Block[],
  source: BlockSource,
  { signal, ...selection }: CarSelection & Abortable,
): AsyncGenerator<Block> {
  const stop = new AbortController()
  const until = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  try {
    yield* selectedBlocks(first, proof, source, { ...selection, signal: until })
  } finally {
    stop.abort()
  }
}

async function* selectedBlocks(
  first: Block,
  proof: readonly Block[],
  source: BlockSource,
  { signal, ...selection }: CarSelection & { signal: AbortSignal },
): AsyncGenerator<Block> {
  const seen = new SeenBlocks()
  const wants = (cid: CID): 'send' | 'follow' | 'skip' => {
    const visit = seen.visit(checkCid(cid))
    if (visit === 'seen' && !selection.duplicates) return 'skip'
    return isIdentity(cid) || (visit === 'recoded' && !selection.duplicates) ? 'follow' : 'send'
  }
  const read = (cid: CID): Promise<Uint8Array> => readBlock(cid, source, { signal })
  for (const block of proof) if (wants(block.cid) === 'send') yield block
  const levels: Wanted[][] = [[{ cid: first.cid, range: selection.range }]]
  let pending = 1
  let ahead = 0
  let credit = READ_AHEAD
  const turns = new Turns(VISITS_PER_TURN)
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const wanted = level.pop()
    if (wanted === undefined) {
      levels.pop()
      continue
    }
    pending -= 1
    if (wanted.bytes !== undefined) ahead -= 1
    if (turns.due()) await turns.turn()
    const use = wants(wanted.cid)
    if (use === 'skip') {
      if (wanted.bytes !== undefined) credit -= 1
      continue
    }
    signal.throwIfAborted()
    wanted.bytes ??= levels.length === 1 ? Promise.resolve(first.bytes) : read(wanted.cid)
    // A DAG full of repeated links has no right to a read ahead for each of them.
    credit = Math.min(READ_AHEAD, credit + 1)
    ahead += startReading(level, credit - ahead, read)
    const block = { cid: wanted.cid, bytes: await wanted.bytes }
    if (use === 'send') yield block
    const below = wantedBelow(block, wanted.range, selection)
    if (below.length === 0) continue
    if (levels.length >= MAX_DAG_DEPTH) throw tooDeep()
    pending += below.length
    if (pending > MAX_PENDING_LINKS) throw tooManyLinks()
    if (source.expect !== undefined) {
      source.expect(
        below.map((next) => next.cid),
        { signal },
      )
    }
    levels.push(below.reverse())
  }
}

/** Starts reading up to `count` blocks that come next in the level, and answers how many those are. */
function startReading(level: readonly Wanted[], count: number, read: (cid: CID) => Promise<Uint8Array>): number {
  const next = level.slice(Math.max(0, level.length - count)).filter(({ bytes }) => bytes === undefined)
  for (const wanted of next) {
    wanted.bytes = read(wanted.cid)
    // When the CAR ends before this block's turn, nobody asks for its failure.
    wanted.bytes.catch(() => {})
  }
  return next.length
}

function wantedBelow({ cid, bytes }: Block, range: ByteRange | undefined, { scope }: CarSelection): Wanted[] {
  if (scope === 'block') return []
  if (scope === 'all') return linksOf(cid, bytes).map((link) => ({ cid: link, range: undefined }))
  if (cid.code !== RAW && cid.code !== DAG_PB) return []
  const node = unixfsNode(cid, bytes)
  if (node.type === 'file') return childrenIn(node, range)
  if (node.type !== 'hamt') return []
  const { prefixLength } = hamtShape(node.fanout)
  const shards = node.links.filter((link) => link.Name?.length === prefixLength)
  return shards.map((link) => ({ cid: link.Hash, range: undefined }))
}

/** Children of a file's node that hold bytes of the range, each with the range counted from its own start. */
function childrenIn(node: FileNode, range: ByteRange | undefined): Wanted[] {
  if (range === undefined) return node.children.map((cid) => ({ cid, range }))
  const wanted: Wanted[] = []
  let start = node.data.length
  for (const [index, cid] of node.children.entries()) {
    const end = start + (node.childSizes[index] ?? 0)
    if (start < range.end && end > range.start) {
      wanted.push({ cid, range: { start: range.start - start, end: range.end - start } })
    }
    start = end
  }
  return wanted
}
