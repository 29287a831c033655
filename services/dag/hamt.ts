import type { PBLink } from '@ipld/dag-pb'
import { murmur364 } from '@multiformats/murmur3'
import type { CID } from 'multiformats/cid'
import type { HamtNode } from './node.ts'
import { malformed } from './read-block.ts'

/** Bits of a name's hash: how far a HAMT can tell names apart. */
const HASH_BITS = 64

/** How the shards of one directory divide its names. */
export interface HamtShape {
  fanout: number
  /** Bits of the hash that one shard uses up. */
  bits: number
  /** Hexadecimal digits before each link's name: its place in the shard. */
  prefixLength: number
  /** Shards that can lie below each other until the hash is used up. */
  maxLevels: number
}

export function hamtShape(fanout: number): HamtShape {
  const bits = Math.log2(fanout)
  return { fanout, bits, prefixLength: (fanout - 1).toString(16).length, maxLevels: Math.floor(HASH_BITS / bits) }
}

const utf8 = new TextEncoder()

/** The hash of a name by which it is placed: murmur3-x64-64 of its UTF-8. */
export function hamtHash(name: string): bigint {
  const digest = murmur364.encode(utf8.encode(name)) as Uint8Array
  return new DataView(digest.buffer, digest.byteOffset, digest.byteLength).getBigUint64(0)
}

/** The place of a hash in a shard of the given level (0 is the root): the next bits, the most significant first. */
export function hamtPlace(hash: bigint, shape: HamtShape, level: number): number {
  const shift = HASH_BITS - shape.bits * (level + 1)
  return Number((hash >> BigInt(shift)) & BigInt(shape.fanout - 1))
}

/** A place as it is written before a link's name. */
export function hamtPrefix(place: number, shape: HamtShape): string {
  return place.toString(16).toUpperCase().padStart(shape.prefixLength, '0')
}

/** The link that stands for a name in a shard: an entry with that name, or the shard below; undefined when none does. */
export function hamtLookup(node: HamtNode, name: string, place: number, shape: HamtShape): PBLink | undefined {
  const prefix = hamtPrefix(place, shape)
  return node.links.find((link) => link.Name === prefix || link.Name === prefix + name)
}

/**
 * The name behind the prefix of a shard's link; empty for a link to the shard below.
 * @throws MALFORMED_BLOCK when the link has no prefix that is a place in the shard
 */
export function hamtEntryName(cid: CID, link: PBLink, shape: HamtShape): string {
  const { Name: name = '' } = link
  const prefix = name.slice(0, shape.prefixLength)
  const place = Number.parseInt(prefix, 16)
  if (prefix.length < shape.prefixLength || !(place < shape.fanout) || hamtPrefix(place, shape) !== prefix) {
    throw malformed(cid, 'a HAMT link without a place in its shard')
  }
  return name.slice(shape.prefixLength)
}

/** @throws MALFORMED_BLOCK when a shard cannot stand where it was found */
export function checkShard(cid: CID, node: { type: string; fanout?: number }, shape: HamtShape, level: number): void {
  if (node.type !== 'hamt') throw malformed(cid, 'it stands where a HAMT shard should')
  if (node.fanout !== shape.fanout) throw malformed(cid, 'a HAMT shard of another fanout than its root')
  if (level >= shape.maxLevels) throw malformed(cid, 'a HAMT deeper than its hash')
}
