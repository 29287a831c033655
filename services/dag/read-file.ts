import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_DAG_DEPTH, MAX_PENDING_LINKS } from '../core/limits.ts'
import { unixfsNode, type FileNode } from './node.ts'
import { malformed, readBlock } from './read-block.ts'
import { Turns } from './turns.ts'
import { tooDeep, tooManyLinks } from './walk.ts'

export interface ReadFileOptions extends Abortable {
  /** First byte. @default 0 */
  offset?: number
  /** Bytes; those beyond the end are left out. @default all to the end */
  length?: number
  /** Blocks read ahead of the consumer, at most this many (each up to 2 MiB) at a time. @default 4 */
  readahead?: number
}

const DEFAULT_READAHEAD = 4
/** Blocks between two turns of the event loop: a file may have one byte in each, and all of them in a cache. */
const BLOCKS_PER_TURN = 256

/**
 * Bytes of the file, as its root block claims. {@link readFile} ends with an error, never early, when that is a lie.
 * @throws NOT_A_FILE, BLOCK_MISSING, MALFORMED_BLOCK, BLOCK_TOO_LARGE, HASH_NOT_ALLOWED
 */
export async function fileSize(cid: CID, source: BlockSource, options: Abortable = {}): Promise<number> {
  return (await readFileNode(cid, source, options)).size
}

/**
 * The bytes of a UnixFS file or raw block, or of a range of it, as views of its blocks. Reads only the blocks of the range;
 * every node is held to the size that its parent claims for it, and children of claimed size 0 are not read at all (a
 * tree of them would never end).
 * @throws NOT_A_FILE, DAG_TOO_DEEP, DAG_TOO_LARGE, BLOCK_MISSING, MALFORMED_BLOCK (also for lying sizes), BLOCK_TOO_LARGE,
 *   HASH_NOT_ALLOWED
 */
export async function* readFile(
  cid: CID,
  source: BlockSource,
  options: ReadFileOptions = {},
): AsyncGenerator<Uint8Array> {
  const { offset = 0, length = Infinity, readahead = DEFAULT_READAHEAD } = options
  const stop = new AbortController()
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal])
  try {
    const root = await readFileNode(cid, source, { signal })
    const tree = new FileTree(source, signal, { from: offset, to: Math.min(root.size, offset + length) })
    const turns = new Turns(BLOCKS_PER_TURN)
    yield* tree.open(root, 0)
    for (let next = tree.next(readahead); next !== undefined; next = tree.next(readahead)) {
      const node = await next.node
      if (turns.due()) await turns.turn()
      signal.throwIfAborted()
      if (node.size !== next.size)
        throw malformed(next.cid, `its parent counts ${next.size} bytes, it has ${node.size}`)
      yield* tree.open(node, next.start)
    }
  } finally {
    stop.abort()
  }
}

/** A child that lies in the range, being read. */
interface Child {
  cid: CID
  /** Its first byte in the file. */
  start: number
  /** Bytes that its parent counts for it. */
  size: number
  node: Promise<FileNode>
}

/** Children of one node that are still to come. */
interface Level {
  children: CID[]
  childSizes: number[]
  index: number
  /** First byte of the child at `index`. */
  start: number
}

/** The open nodes from the root down, and the children being read, in the order of the file. */
class FileTree {
  readonly #source: BlockSource
  readonly #signal: AbortSignal
  readonly #range: { from: number; to: number }
  readonly #levels: Level[] = []
  #pendingLinks = 0
  /** Blocks in all the queues below; bounded together, or a deep tree would multiply the readahead. */
  #reading = 0
  /** Children of the deepest level that are being read. */
  #ahead: Child[] = []
  /** Children of the levels above that were being read when a child before them turned out to have children. */
  readonly #aheadAbove: Child[][] = []

  constructor(source: BlockSource, signal: AbortSignal, range: { from: number; to: number }) {
    this.#source = source
    this.#signal = signal
    this.#range = range
  }

  /** The node's own bytes in the range; its children come next. */
  *open(node: FileNode, start: number): Generator<Uint8Array> {
    const { from, to } = this.#range
    const own = node.data.subarray(Math.max(0, from - start), Math.max(0, to - start))
    if (own.length > 0) yield own
    if (node.children.length === 0) return
    if (this.#levels.length >= MAX_DAG_DEPTH) throw tooDeep()
    this.#pendingLinks += node.children.length
    if (this.#pendingLinks > MAX_PENDING_LINKS) throw tooManyLinks()
    const { children, childSizes } = node
    const level = { children, childSizes, index: 0, start: start + node.data.length }
    this.#source.expect?.(childrenIn(level, this.#range), { signal: this.#signal })
    this.#levels.push(level)
    this.#aheadAbove.push(this.#ahead)
    this.#ahead = []
  }

  /** The next child in the range, with others behind it being read too; undefined when none is left. */
  next(readahead: number): Child | undefined {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      this.#readAhead(level, readahead)
      const child = this.#ahead.shift()
      if (child !== undefined) {
        this.#reading -= 1
        return child
      }
      this.#levels.pop()
      this.#pendingLinks -= level.children.length
      this.#ahead = this.#aheadAbove.pop() as Child[]
    }
    return undefined
  }

  #readAhead(level: Level, readahead: number): void {
    while (this.#ahead.length === 0 || this.#reading < readahead) {
      const child = this.#nextIn(level)
      if (child === undefined) return
      this.#ahead.push(child)
      this.#reading += 1
    }
  }

  #nextIn(level: Level): Child | undefined {
    const { from, to } = this.#range
    while (level.index < level.children.length && level.start < to) {
      const cid = level.children[level.index] as CID
      const size = level.childSizes[level.index] as number
      const start = level.start
      level.index += 1
      level.start += size
      if (size > 0 && level.start > from) return { cid, start, size, node: this.#read(cid) }
    }
    return undefined
  }

  #read(cid: CID): Promise<FileNode> {
    const node = readFileNode(cid, this.#source, { signal: this.#signal })
    // When the reader stops before this child, nobody asks for its failure.
    node.catch(() => {})
    return node
  }
}

/** Children that hold bytes of the range. */
function childrenIn({ children, childSizes, start }: Level, { from, to }: { from: number; to: number }): CID[] {
  const wanted: CID[] = []
  let at = start
  for (const [index, cid] of children.entries()) {
    if (at >= to) break
    const size = childSizes[index] as number
    at += size
    if (size > 0 && at > from) wanted.push(cid)
  }
  return wanted
}

async function readFileNode(cid: CID, source: BlockSource, options: Abortable): Promise<FileNode> {
  const node = unixfsNode(cid, await readBlock(cid, source, options))
  if (node.type === 'file') return node
  const what = node.type === 'directory' || node.type === 'hamt' ? 'a directory' : `of type ${node.type}`
  throw new HoldfastError('NOT_A_FILE', `${cid.toString()} is not a file but ${what}.`)
}
