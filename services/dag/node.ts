import type { PBLink } from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import { DAG_PB, RAW } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_HAMT_FANOUT } from '../core/limits.ts'
import { reasonOf } from './decode-value.ts'
import { decodeDagPb } from './links.ts'
import { ownCid } from './own-cid.ts'
import { malformed } from './read-block.ts'
import { SharedNodes } from './shared-nodes.ts'
import { decodeUnixfsData, type UnixfsData } from './unixfs-data.ts'

interface Attributes {
  /** Permission bits, when the node has them. */
  mode: number | undefined
  mtime: { seconds: number; nanoseconds: number } | undefined
}

export interface FileNode extends Attributes {
  type: 'file'
  /** Bytes before those of the children. */
  data: Uint8Array
  children: CID[]
  /** Bytes that each child stands for, as this node claims. */
  childSizes: number[]
  /** Bytes of the whole file, as this node claims: trust it for ranges only while every child keeps to it. */
  size: number
}

interface DirectoryNode extends Attributes {
  type: 'directory'
  links: PBLink[]
}

/** A shard of a large directory: a hash array mapped trie over the names. */
export interface HamtNode extends Attributes {
  type: 'hamt'
  links: PBLink[]
  /** A power of two from 8 to 1,024. */
  fanout: number
}

export interface SymlinkNode extends Attributes {
  type: 'symlink'
  /** Where it points, as written: never to be followed on a host. */
  target: Uint8Array
}

/** DAG-PB that is no UnixFS (no Data field, or the unused type `metadata`): only its links mean something. */
interface LinksNode {
  type: 'links'
  links: PBLink[]
}

export type UnixfsNode = FileNode | DirectoryNode | HamtNode | SymlinkNode | LinksNode

/** The only hash of names in HAMT shards: murmur3-x64-64. */
export const HAMT_HASH = 0x22
const MIN_HAMT_FANOUT = 8
const NO_BYTES = new Uint8Array(0)

/** Values of UnixFS `DataType`. */
const TYPE_RAW = 0
const TYPE_DIRECTORY = 1
const TYPE_FILE = 2
const TYPE_METADATA = 3
const TYPE_SYMLINK = 4
const TYPE_HAMT = 5

/** Decoding fewer links is as cheap as finding out whether somebody has. */
const MIN_SHARED_LINKS = 32
const files = new SharedNodes<FileNode>()

/**
 * What a raw or DAG-PB block is in UnixFS; not to be changed, because others who read the block can have the same node.
 * @param bytes those of the block that the CID names
 * @throws MALFORMED_BLOCK; BLOCK_TOO_LARGE; UNSUPPORTED_CODEC for any other codec
 */
export function unixfsNode(cid: CID, bytes: Uint8Array): UnixfsNode {
  if (cid.code === RAW) return rawFile(bytes)
  if (cid.code !== DAG_PB) {
    throw new HoldfastError('UNSUPPORTED_CODEC', `Block ${cid.toString()} is neither raw nor DAG-PB, so not UnixFS.`)
  }
  const shared = files.find(cid, bytes)
  if (shared !== undefined) return shared
  const { Data, Links } = decodeDagPb(cid, bytes)
  if (Data === undefined) return { type: 'links', links: Links }
  const node = fromData(cid, dataOf(cid, Data), Links)
  if (node.type === 'file' && Links.length >= MIN_SHARED_LINKS) files.share(cid, bytes, node)
  return node
}

function rawFile(bytes: Uint8Array): FileNode {
  const attributes = { mode: undefined, mtime: undefined }
  return { type: 'file', data: bytes, children: [], childSizes: [], size: bytes.length, ...attributes }
}

function dataOf(cid: CID, bytes: Uint8Array): UnixfsData {
  try {
    return decodeUnixfsData(bytes)
  } catch (cause) {
    throw malformed(cid, `UnixFS: ${reasonOf(cause)}`, cause)
  }
}

function fromData(cid: CID, data: UnixfsData, links: PBLink[]): UnixfsNode {
  const { mode, mtime } = data
  switch (data.type) {
    case TYPE_RAW:
    case TYPE_FILE:
      return { type: 'file', ...fileParts(cid, data, links), mode, mtime }
    case TYPE_DIRECTORY:
      return { type: 'directory', links, mode, mtime }
    case TYPE_SYMLINK:
      return { type: 'symlink', target: data.data ?? NO_BYTES, mode, mtime }
    case TYPE_HAMT:
      return { type: 'hamt', links, fanout: hamtFanout(cid, data, links), mode, mtime }
    case TYPE_METADATA:
      return { type: 'links', links }
    default:
      throw malformed(cid, `UnixFS type ${data.type}`)
  }
}

function fileParts(
  cid: CID,
  data: UnixfsData,
  links: PBLink[],
): Pick<FileNode, 'data' | 'children' | 'childSizes' | 'size'> {
  if (data.blockSizes.length !== links.length) {
    throw malformed(cid, `${links.length} links but ${data.blockSizes.length} block sizes`)
  }
  const own = data.data ?? NO_BYTES
  const size = data.blockSizes.reduce((sum, blockSize) => sum + blockSize, own.length)
  if (!Number.isSafeInteger(size)) throw malformed(cid, 'its block sizes are beyond counting')
  return { data: own, children: links.map((link) => ownCid(link.Hash)), childSizes: data.blockSizes, size }
}

function hamtFanout(cid: CID, data: UnixfsData, links: PBLink[]): number {
  const { fanout = 0, hashType } = data
  if (fanout < MIN_HAMT_FANOUT || fanout > MAX_HAMT_FANOUT || (fanout & (fanout - 1)) !== 0) {
    throw malformed(cid, `a HAMT fanout of ${fanout}`)
  }
  if (hashType !== HAMT_HASH) throw malformed(cid, `a HAMT over hash ${hashType ?? 'none'}`)
  if (countBits(cid, data.data ?? NO_BYTES, fanout) !== links.length) {
    throw malformed(cid, 'a HAMT bit field that does not count its links')
  }
  return fanout
}

function countBits(cid: CID, bitField: Uint8Array, fanout: number): number {
  if (bitField.length > fanout / 8) throw malformed(cid, 'a HAMT bit field longer than its fanout')
  let bits = 0
  for (const byte of bitField) for (let rest = byte; rest > 0; rest &= rest - 1) bits++
  return bits
}
