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
}

/**
 * The entries of a plain or HAMT directory, in the order of its links. Holds one shard for each level and the hashes of
 * shards; reads no entry.
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
    for (const link of node.links) yield* named(link.Name ?? '', link, options)
    return
  }
  if (node?.type !== 'hamt') throw new HoldfastError('NOT_FOUND', `${cid.toString()} is not a directory.`)
  yield* listShards(cid, node, source, options)
}

interface Shard {
  cid: CID
  node: HamtNode
  next: number
}

async function* listShards(
  root: CID,
  node: HamtNode,
  source: BlockSource,
  options: ListOptions,
): AsyncGenerator<DirectoryEntry> {
  const shape: HamtShape = hamtShape(node.fanout)
  const seen = new Set([multihashKey(root)])
  const shards: Shard[] = [{ cid: root, node, next: 0 }]
  for (let shard = shards.at(-1); shard !== undefined; shard = shards.at(-1)) {
    const link = shard.node.links[shard.next++]
    if (link === undefined) {
      shards.pop()
      continue
    }
    options.signal?.throwIfAborted()
    const isShard = link.Name?.length === shape.prefixLength
    const name = hamtEntryName(shard.cid, link, shape)
    if (!isShard) {
      yield* named(name, link, options)
      continue
    }
    // Names in different places hash differently, so equal shards are a trap: 8 levels of them would never end.
    const key = multihashKey(link.Hash)
    if (seen.has(key)) throw malformed(link.Hash, 'a HAMT shard that stands in two places')
    seen.add(key)
    const below = unixfsNode(link.Hash, await readBlock(link.Hash, source, options)) as HamtNode
    checkShard(link.Hash, below, shape, shards.length)
    shards.push({ cid: link.Hash, node: below, next: 0 })
  }
}

function* named(name: string, link: PBLink, { everyName = false }: ListOptions): Generator<DirectoryEntry> {
  if (!everyName && !isPlainName(name)) return
  yield { name, cid: link.Hash, tsize: link.Tsize, type: isLinkless(link.Hash.code) ? 'file' : undefined }
}
