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
}

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
  const seen = new SeenBlocks()
  const wants = (cid: CID): 'send' | 'follow' | 'skip' => {
    const visit = seen.visit(checkCid(cid))
    if (visit === 'seen' && !selection.duplicates) return 'skip'
    return isIdentity(cid) || (visit === 'recoded' && !selection.duplicates) ? 'follow' : 'send'
  }
  for (const block of proof) if (wants(block.cid) === 'send') yield block
  const levels: Wanted[][] = [[{ cid: first.cid, range: selection.range }]]
  let pending = 1
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const wanted = level.pop()
    if (wanted === undefined) {
      levels.pop()
      continue
    }
    pending -= 1
    const use = wants(wanted.cid)
    if (use === 'skip') continue
    signal?.throwIfAborted()
    const block = levels.length === 1 ? first : await readFrom(source, wanted.cid, signal)
    if (use === 'send') yield block
    const below = wantedBelow(block, wanted.range, selection)
    if (below.length === 0) continue
    if (levels.length >= MAX_DAG_DEPTH) throw tooDeep()
    pending += below.length
    if (pending > MAX_PENDING_LINKS) throw tooManyLinks()
    levels.push(below.reverse())
  }
}

async function readFrom(source: BlockSource, cid: CID, signal: AbortSignal | undefined): Promise<Block> {
  return { cid, bytes: await readBlock(cid, source, signal === undefined ? {} : { signal }) }
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
