import { CID } from 'multiformats/cid'
import { HoldfastError } from '../core/errors.ts'
import type { ManifestEntry } from '../core/block-source.ts'
import { MAX_BLOCK_BYTES, MAX_CID_BYTES } from '../core/limits.ts'
import { readVarint, varintLength, writeVarint, type Cursor } from '../dag/varint.ts'

/** Blocks that one call may name: more than a range of small blocks has, and 40 KB of CIDs. */
export const MAX_BLOCKS_PER_CALL = 1_024
/** Blocks that somebody reads just now, rather than copies. */
export const READ_PATH = '/blocks?for=reader'
/** Roots of one `POST /roots`. */
export const MAX_ROOTS_PER_CALL = 1_024
/** A DAG up to this size moves in a batch of roots; a larger one has a manifest and ranges. */
export const SMALL_ROOT_BLOCKS = 64
export const SMALL_ROOT_BYTES = 256 * 1_024
/** Bytes that the answer to one call may have: what a range is made to stay below. */
export const MAX_ANSWER_BYTES = 64 * 1_024 * 1_024
/** Entries of one page of a manifest: about 700 KB. */
export const MANIFEST_PAGE_ENTRIES = 16_384

/** CIDs one after the other; each tells its own length. */
export function encodeCids(cids: Iterable<CID>): Buffer {
  return Buffer.concat(Array.from(cids, (cid) => cid.bytes))
}

/** @throws BAD_REQUEST when the bytes are no CIDs, or more than `max` */
export function decodeCids(bytes: Uint8Array, max: number): CID[] {
  const cids: CID[] = []
  const cursor: Cursor = { bytes, offset: 0 }
  while (cursor.offset < bytes.length) {
    if (cids.length === max) throw new HoldfastError('BAD_REQUEST', `A call may name at most ${max} CIDs.`)
    cids.push(readCid(cursor))
  }
  return cids
}

/** A manifest's entries: each its CID, then the length of its block as a varint. */
export function encodeEntries(entries: Iterable<ManifestEntry>): Buffer {
  const parts: Uint8Array[] = []
  for (const { cid, length } of entries) {
    const width = new Uint8Array(varintLength(length))
    writeVarint(length, width, 0)
    parts.push(cid.bytes, width)
  }
  return Buffer.concat(parts)
}

/** @throws BAD_REQUEST when the bytes are no entries */
export function* decodeEntries(bytes: Uint8Array): Generator<ManifestEntry> {
  const cursor: Cursor = { bytes, offset: 0 }
  while (cursor.offset < bytes.length) {
    const cid = readCid(cursor)
    const length = readVarint(cursor)
    if (length === undefined || length > MAX_BLOCK_BYTES) {
      throw new HoldfastError('BAD_REQUEST', `A manifest entry claims a block of ${length ?? 'unreadable'} bytes.`)
    }
    yield { cid, length }
  }
}

function readCid(cursor: Cursor): CID {
  const window = cursor.bytes.subarray(cursor.offset, cursor.offset + MAX_CID_BYTES)
  try {
    const [cid, rest] = CID.decodeFirst(window)
    cursor.offset += window.length - rest.length
    return cid
  } catch (cause) {
    throw new HoldfastError('BAD_REQUEST', 'A CID in the message cannot be read.', { cause })
  }
}

/** One bit a CID, in their order, the lowest bit of a byte first. */
export function encodeBits(bits: readonly boolean[]): Buffer {
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8))
  for (const [index, bit] of bits.entries()) if (bit) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7))
  return bytes
}

export function decodeBits(bytes: Uint8Array, count: number): boolean[] {
  return Array.from({ length: count }, (_, index) => (((bytes[index >> 3] ?? 0) >> (index & 7)) & 1) === 1)
}

/** Bytes of a block's CAR section: varint, CID, block. */
export function sectionLength(cid: CID, blockLength: number): number {
  const length = cid.bytes.length + blockLength
  return varintLength(length) + length
}
