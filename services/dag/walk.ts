import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource, ManifestEntry } from '../core/block-source.ts'
import { checkCid, isIdentity } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_DAG_DEPTH, MAX_PENDING_LINKS } from '../core/limits.ts'
import { linksOf } from './links.ts'
import { BlockMissing, checkBlockSize, isLinkless, readBlock } from './read-block.ts'
import { SeenBlocks } from './seen-blocks.ts'
import { Turns } from './turns.ts'

export interface DagLimits {
  /** Distinct blocks; @default no limit */
  maxBlocks?: number
  /** Bytes of distinct blocks; @default no limit */
  maxBytes?: number
}

export interface WalkOptions extends Abortable, DagLimits {
  /** Bytes of a block that is known without reading it. With it, blocks that cannot have links are not read. */
  sizeOf?: (cid: CID) => number | undefined
  /** Told of each missing block, and the walk goes on. Without it, the first one ends the walk. */
  onMissing?: (cid: CID) => void
}

/** Visits between two turns of the event loop. */
const VISITS_PER_TURN = 512

/** Links of one block on the way down, and how many of them were followed. */
interface Level {
  links: CID[]
  next: number
}

/**
 * All blocks of a DAG, each once (by multihash), depth first, a block before what it links to, links in their order.
 * Content inside identity CIDs is followed, but is no block.
 * @throws BLOCK_MISSING ({@link BlockMissing}), DAG_TOO_DEEP, DAG_TOO_LARGE, MALFORMED_BLOCK, BLOCK_TOO_LARGE,
 *   HASH_NOT_ALLOWED, UNSUPPORTED_CODEC
 */
export async function* walk(root: CID, source: BlockSource, options: WalkOptions = {}): AsyncGenerator<ManifestEntry> {
  const seen = new SeenBlocks()
  const budget = new DagBudget(options)
  const levels: Level[] = [{ links: [root], next: 0 }]
  let pending = 1
  const turns = new Turns(VISITS_PER_TURN)
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const cid = level.links[level.next++]
    if (cid === undefined) {
      pending -= level.links.length
      levels.pop()
      continue
    }
    const visit = seen.visit(checkCid(cid))
    if (visit === 'seen') continue
    if (levels.length > MAX_DAG_DEPTH) throw tooDeep()
    if (turns.due()) await turns.turn()
    options.signal?.throwIfAborted()
    const found = await look(cid, source, options)
    if (found === undefined) continue
    if (visit === 'new' && !isIdentity(cid)) {
      budget.count(found.length)
      yield { cid, length: found.length }
    }
    if (found.links.length === 0) continue
    pending += found.links.length
    if (pending > MAX_PENDING_LINKS) throw tooManyLinks()
    levels.push({ links: found.links, next: 0 })
  }
}

interface Found {
  length: number
  links: CID[]
}

/** The block's length and links; undefined when it is missing and the walk shall go on. */
async function look(cid: CID, source: BlockSource, options: WalkOptions): Promise<Found | undefined> {
  if (isLinkless(cid.code)) {
    const length = options.sizeOf?.(cid)
    if (length !== undefined) {
      checkBlockSize(cid, length)
      return { length, links: [] }
    }
  }
  try {
    const bytes = await readBlock(cid, source, options)
    return { length: bytes.length, links: linksOf(cid, bytes) }
  } catch (error) {
    if (options.onMissing === undefined || !(error instanceof BlockMissing)) throw error
    options.onMissing(cid)
    return undefined
  }
}

/** Counts distinct blocks against the limits. */
export class DagBudget {
  readonly #limits: DagLimits
  #blocks = 0
  #bytes = 0

  constructor(limits: DagLimits) {
    this.#limits = limits
  }

  /** @throws DAG_TOO_LARGE */
  count(length: number): void {
    this.#blocks += 1
    this.#bytes += length
    const { maxBlocks = Infinity, maxBytes = Infinity } = this.#limits
    if (this.#blocks > maxBlocks) throw tooLarge(`${maxBlocks} blocks`)
    if (this.#bytes > maxBytes) throw tooLarge(`${maxBytes} bytes`)
  }
}

function tooLarge(limit: string): HoldfastError {
  return new HoldfastError('DAG_TOO_LARGE', `The DAG has more than the ${limit} that are allowed.`)
}

export function tooManyLinks(): HoldfastError {
  const message = `The DAG has more than ${MAX_PENDING_LINKS} links beside one path.`
  return new HoldfastError('DAG_TOO_LARGE', message)
}

export function tooDeep(): HoldfastError {
  return new HoldfastError('DAG_TOO_DEEP', `The DAG is deeper than ${MAX_DAG_DEPTH} blocks.`)
}
