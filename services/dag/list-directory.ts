import type { PBLink } from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { checkShard, hamtEntryName, hamtShape, type HamtShape } from './hamt.ts'
import { unixfsNode, type HamtNode } from './node.ts'
import { isPlainName } from './plain-name.ts'
import { isLinkless, malformed, readBlock } from './read-block.ts'
import { multihashKey } from './multihash-key.ts'

export interface DirectoryEntry {
  name: string
  cid: CID
  /** Bytes of the blocks below, as the directory claims; for display only. */
  tsize: number | undefined
  /** `file` when the CID alone tells it; otherwise the entry's block would have to be read. */
  type: 'file' | undefined
}

export interface ListOptions extends Abortable {
  /** Also entries whose names no path can mean; the caller then keeps them in their place. @default false */
  everyName?: boolean
  /** Shards read ahead, of one level: none for a source whose blocks come in the order of the DAG. @default 8 */
  readahead?: number
}

/**
 * The entries of a plain or HAMT directory, in the order of its links. Holds one shard for each level, a few that are read
 * ahead, and the hashes of shards; reads no entry.
 * Left out are names that no path can mean (empty, `.`, `..`, with `/` or NUL), so that what is made of a listing (links,
 * files on a disk) cannot leave its place. They stay part of the DAG: stored, and exported in a CAR.
 * @throws NOT_FOUND when `cid` is no directory; BLOCK_MISSING, MALFORMED_BLOCK, BLOCK_TOO_LARGE, HASH_NOT_ALLOWED
 */
export async function* listDirectory(
  cid: CID,
  source: BlockSource,
  options: ListOptions = {},
): AsyncGenerator<DirectoryEntry> {
  const node = isLinkless(cid.code) ? undefined : unixfsNode(cid, await readBlock(cid, source, options))
  if (node?.type === 'directory') {
    for (const link of node.links) {
      const entry = named(link.Name ?? '', link, options)
      if (entry !== undefined) yield entry
    }
    return
  }
  if (node?.type !== 'hamt') throw new HoldfastError('NOT_FOUND', `${cid.toString()} is not a directory.`)
  const stop = new AbortController()
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal])
  try {
    yield* listShards(cid, node, source, { ...options, signal })
  } finally {
    stop.abort()
  }
}

async function* listShards(
  root: CID,
  node: HamtNode,
  source: BlockSource,
  options: ListOptions & { signal: AbortSignal },
): AsyncGenerator<DirectoryEntry> {
  const shape = hamtShape(node.fanout)
  const seen = new Set([multihashKey(root)])
  const reads = new ShardReads(source, options.signal, options.readahead ?? AHEAD_PER_LEVEL)
  const shards = [new Shard(root, node, shape)]
  for (let shard = shards.at(-1); shard !== undefined; shard = shards.at(-1)) {
    const link = shard.next()
    if (link === undefined) {
      shards.pop()
      continue
    }
    options.signal.throwIfAborted()
    const name = hamtEntryName(shard.cid, link, shape)
    if (!isShardLink(link, shape)) {
      const entry = named(name, link, options)
      if (entry !== undefined) yield entry
      continue
    }
    // Names in different places hash differently, so equal shards are a trap: 8 levels of them would never end.
    const key = multihashKey(link.Hash)
    if (seen.has(key)) throw malformed(link.Hash, 'a HAMT shard that stands in two places')
    seen.add(key)
    const below = unixfsNode(link.Hash, await reads.below(shard)) as HamtNode
    checkShard(link.Hash, below, shape, shards.length)
    shards.push(new Shard(link.Hash, below, shape))
  }
}

/** A shard whose links are gone through. */
class Shard {
  readonly cid: CID
  readonly #links: readonly PBLink[]
  readonly #below: readonly PBLink[]
  #listed = 0
  #begun = 0
  /** Shards below this one that are being read, in the order of their links. */
  readonly ahead: Promise<Uint8Array>[] = []

  constructor(cid: CID, { links }: HamtNode, shape: HamtShape) {
    this.cid = cid
    this.#links = links
    this.#below = links.filter((link) => isShardLink(link, shape))
  }

  next(): PBLink | undefined {
    return this.#links[this.#listed++]
  }

  /** The next link to a shard that nobody reads yet. */
  nextBelow(): PBLink | undefined {
    return this.#below[this.#begun++]
  }
}

/** Shards of one level read ahead, so that a directory on another node does not cost a round trip for each. */
const AHEAD_PER_LEVEL = 8
/** Over all levels: a shard can have 2 MiB. */
const AHEAD = 12

class ShardReads {
  readonly #source: BlockSource
  readonly #signal: AbortSignal
  readonly #perLevel: number
  #reading = 0

  constructor(source: BlockSource, signal: AbortSignal, perLevel: number) {
    this.#source = source
    this.#signal = signal
    this.#perLevel = perLevel
  }

  /** The block of the next shard below; those behind it are read meanwhile. Links are asked for in their order. */
  async below(shard: Shard): Promise<Uint8Array> {
    const { ahead } = shard
    while (ahead.length === 0 || (ahead.length < this.#perLevel && this.#reading < AHEAD)) {
      const link = shard.nextBelow()
      if (link === undefined) break
      ahead.push(this.#read(link.Hash))
      this.#reading += 1
    }
    this.#reading -= 1
    return await (ahead.shift() as Promise<Uint8Array>)
  }

  #read(cid: CID): Promise<Uint8Array> {
    const bytes = readBlock(cid, this.#source, { signal: this.#signal })
    // When the listing ends before this shard, nobody asks for its failure.
    bytes.catch(() => {})
    return bytes
  }
}

function isShardLink({ Name }: PBLink, { prefixLength }: HamtShape): boolean {
  return Name?.length === prefixLength
}

/** Undefined for a name that no path can mean, unless the caller wants all. */
function named(name: string, link: PBLink, { everyName = false }: ListOptions): DirectoryEntry | undefined {
  if (!everyName && !isPlainName(name)) return undefined
  return { name, cid: link.Hash, tsize: link.Tsize, type: isLinkless(link.Hash.code) ? 'file' : undefined }
}
