import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { checkCid, isIdentity } from '../core/cid.ts'
import { hasCode } from '../core/errors.ts'
import { MAX_DAG_DEPTH, MAX_PENDING_LINKS } from '../core/limits.ts'
import { verify } from '../core/verify.ts'
import { linksOf } from './links.ts'
import { isLinkless, readBlock } from './read-block.ts'
import { SeenBlocks } from './seen-blocks.ts'
import { DagBudget, tooDeep, tooManyLinks, type DagLimits } from './walk.ts'

export interface Block {
  cid: CID
  bytes: Uint8Array
}

/** What is here already: an open batch of the store. */
export interface HeldBlocks extends BlockSource {
  has(cid: CID): boolean
}

export interface FetchDagOptions extends Abortable, DagLimits {
  /** Blocks asked for at once. Helia's bitswap loses wants beyond 1,024. @default 64 */
  concurrency?: number
}

const DEFAULT_CONCURRENCY = 64

interface Wanted {
  cid: CID
  depth: number
}

type Arrival = { wanted: Wanted; bytes: Uint8Array; fetched: boolean } | { error: unknown }

/**
 * Every block of a DAG that is not held yet, verified, in the order of arrival; many are asked for at once. What is held
 * is read from there and followed, so an interrupted copy goes on where it stopped. A slow consumer stops the asking.
 * `maxBlocks` and `maxBytes` count what is fetched or read, not leaves that are held.
 * @throws BLOCK_MISSING, HASH_MISMATCH, DAG_TOO_DEEP, DAG_TOO_LARGE, MALFORMED_BLOCK, BLOCK_TOO_LARGE, HASH_NOT_ALLOWED,
 *   UNSUPPORTED_CODEC, and what the source throws; what is still under way is aborted then, and when the consumer stops
 */
export async function* fetchDag(
  root: CID,
  source: BlockSource,
  held: HeldBlocks,
  options: FetchDagOptions = {},
): AsyncGenerator<Block> {
  const { concurrency = DEFAULT_CONCURRENCY } = options
  const stop = new AbortController()
  const arrivals = new Arrivals()
  const signal = abortedBy(options.signal, stop.signal, arrivals)
  const frontier = new Frontier(held)
  const budget = new DagBudget(options)
  frontier.add([root], 1)
  let underWay = 0
  try {
    for (;;) {
      while (underWay < concurrency && frontier.size > 0) {
        underWay += 1
        void bring(frontier.take(), source, held, signal).then((arrival) => arrivals.push(arrival))
      }
      if (underWay === 0) return
      const arrival = await arrivals.next()
      if ('error' in arrival) throw arrival.error
      underWay -= 1
      const { wanted, bytes, fetched } = arrival
      budget.count(bytes.length)
      frontier.add(linksOf(wanted.cid, bytes), wanted.depth + 1)
      if (fetched) yield { cid: wanted.cid, bytes }
    }
  } finally {
    stop.abort()
  }
}

async function bring(wanted: Wanted, source: BlockSource, held: HeldBlocks, signal: AbortSignal): Promise<Arrival> {
  try {
    const { cid } = wanted
    const local = isIdentity(cid) ? cid.multihash.digest : await readHeld(cid, held, signal)
    if (local !== undefined) return { wanted, bytes: local, fetched: false }
    const bytes = await readBlock(cid, source, { signal })
    verify(cid, bytes)
    return { wanted, bytes, fetched: true }
  } catch (error) {
    return { error }
  }
}

/** The block when it is held and sound; one that went bad on disk is fetched again. */
async function readHeld(cid: CID, held: HeldBlocks, signal: AbortSignal): Promise<Uint8Array | undefined> {
  if (!held.has(cid)) return undefined
  try {
    return await held.get(cid, { signal })
  } catch (error) {
    if (hasCode(error, 'CORRUPT_BLOCK')) return undefined
    throw error
  }
}

/** The signal for reads; the caller's abort also ends the wait for a source that does not listen. */
function abortedBy(caller: AbortSignal | undefined, stop: AbortSignal, arrivals: Arrivals): AbortSignal {
  if (caller === undefined) return stop
  caller.throwIfAborted()
  caller.addEventListener('abort', () => arrivals.push({ error: caller.reason }), { signal: stop })
  return AbortSignal.any([caller, stop])
}

/** CIDs that are known but not asked for. The newest are taken first, which keeps it small. */
class Frontier {
  readonly #held: HeldBlocks
  readonly #seen = new SeenBlocks()
  readonly #wanted: Wanted[] = []

  constructor(held: HeldBlocks) {
    this.#held = held
  }

  get size(): number {
    return this.#wanted.length
  }

  take(): Wanted {
    return this.#wanted.pop() as Wanted
  }

  add(links: readonly CID[], depth: number): void {
    if (links.length > 0 && depth > MAX_DAG_DEPTH) throw tooDeep()
    for (let index = links.length - 1; index >= 0; index--) {
      const cid = checkCid(links[index] as CID)
      if (this.#seen.visit(cid) === 'seen') continue
      if (isLinkless(cid.code) && (isIdentity(cid) || this.#held.has(cid))) continue
      this.#wanted.push({ cid, depth })
    }
    if (this.#wanted.length > MAX_PENDING_LINKS) throw tooManyLinks()
  }
}

/** Results in the order in which they arrive, for one reader. */
class Arrivals {
  readonly #ready: Arrival[] = []
  #wake: () => void = () => {}

  push(arrival: Arrival): void {
    this.#ready.push(arrival)
    this.#wake()
  }

  async next(): Promise<Arrival> {
    for (;;) {
      const arrival = this.#ready.shift()
      if (arrival !== undefined) return arrival
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
