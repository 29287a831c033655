import { CID } from 'multiformats/cid'
import type { ManifestEntry } from '../core/block-source.ts'

/** The rows of the index, and their bytes. All numbers are big-endian. */

/** What the index knows of a block. Its key is the multihash, so that all CIDs of the same bytes are one block. */
export interface BlockRow {
  /** Segment file; 0 when the bytes are lost (quarantined) but roots still count the block. */
  segment: number
  /** Where the block's section starts in that file. */
  offset: number
  /** Bytes of the section before the block. */
  headBytes: number
  /** Bytes of the block. */
  length: number
  /** Roots that count the block. */
  refs: number
  /** Serial of the root that counted it last. */
  countedBy: number
  /** Age of the store when the block was last written, asked for by a batch, or released. */
  touchedMs: number
}

/** Segment number of rows whose bytes are lost. */
export const LOST = 0

export function sectionBytes(row: BlockRow): number {
  return row.headBytes + row.length
}

const BLOCK_ROW_BYTES = 29
const blockRowBytes = Buffer.alloc(BLOCK_ROW_BYTES)

/** The row's bytes, valid until the next call: there are millions of them, and a write transaction copies them at once. */
export function encodeBlockRow(row: BlockRow): Buffer {
  const bytes = blockRowBytes
  bytes.writeUInt32BE(row.segment, 0)
  bytes.writeUIntBE(row.offset, 4, 6)
  bytes.writeUInt8(row.headBytes, 10)
  bytes.writeUInt32BE(row.length, 11)
  bytes.writeUInt32BE(row.refs, 15)
  bytes.writeUInt32BE(row.countedBy, 19)
  bytes.writeUIntBE(row.touchedMs, 23, 6)
  return bytes
}

export function decodeBlockRow(bytes: Buffer): BlockRow {
  return {
    segment: bytes.readUInt32BE(0),
    offset: bytes.readUIntBE(4, 6),
    headBytes: bytes.readUInt8(10),
    length: bytes.readUInt32BE(11),
    refs: bytes.readUInt32BE(15),
    countedBy: bytes.readUInt32BE(19),
    touchedMs: bytes.readUIntBE(23, 6),
  }
}

/** What concerns the store as a whole. */
export interface StateRow {
  /** Everything before this place in the segments is in the index. */
  cursorSegment: number
  cursorOffset: number
  /** How long the store has been open in all its life. */
  ageMs: number
  nextSerial: number
  blocks: number
  /** Bytes of live sections. */
  storedBytes: number
}

export const FIRST_STATE: Readonly<StateRow> = {
  cursorSegment: 0,
  cursorOffset: 0,
  ageMs: 0,
  nextSerial: 1,
  blocks: 0,
  storedBytes: 0,
}

/** Version of the layout of all rows and of the segment files. */
export const FORMAT = 1

export function encodeState(state: StateRow): Buffer {
  const bytes = Buffer.allocUnsafe(36)
  bytes.writeUInt32BE(FORMAT, 0)
  bytes.writeUInt32BE(state.cursorSegment, 4)
  bytes.writeUIntBE(state.cursorOffset, 8, 6)
  bytes.writeUIntBE(state.ageMs, 14, 6)
  bytes.writeUInt32BE(state.nextSerial, 20)
  bytes.writeUIntBE(state.blocks, 24, 6)
  bytes.writeUIntBE(state.storedBytes, 30, 6)
  return bytes
}

export function decodeState(bytes: Buffer): StateRow & { format: number } {
  return {
    format: bytes.readUInt32BE(0),
    cursorSegment: bytes.readUInt32BE(4),
    cursorOffset: bytes.readUIntBE(8, 6),
    ageMs: bytes.readUIntBE(14, 6),
    nextSerial: bytes.readUInt32BE(20),
    blocks: bytes.readUIntBE(24, 6),
    storedBytes: bytes.readUIntBE(30, 6),
  }
}

/** A root that is held: its key is the CID, version 1. */
export interface RootRow {
  /** Under which its manifest is stored. */
  serial: number
  blocks: number
  bytes: number
}

export function encodeRootRow(row: RootRow): Buffer {
  const bytes = Buffer.allocUnsafe(16)
  bytes.writeUInt32BE(row.serial, 0)
  bytes.writeUIntBE(row.blocks, 4, 6)
  bytes.writeUIntBE(row.bytes, 10, 6)
  return bytes
}

export function decodeRootRow(bytes: Buffer): RootRow {
  return { serial: bytes.readUInt32BE(0), blocks: bytes.readUIntBE(4, 6), bytes: bytes.readUIntBE(10, 6) }
}

/** Live records of a segment file. */
export interface SegmentRow {
  blocks: number
  /** Bytes of their sections. */
  bytes: number
}

export function encodeSegmentRow(row: SegmentRow): Buffer {
  const bytes = Buffer.allocUnsafe(12)
  bytes.writeUIntBE(row.blocks, 0, 6)
  bytes.writeUIntBE(row.bytes, 6, 6)
  return bytes
}

export function decodeSegmentRow(bytes: Buffer): SegmentRow {
  return { blocks: bytes.readUIntBE(0, 6), bytes: bytes.readUIntBE(6, 6) }
}

export function encodeNumberKey(value: number): Buffer {
  const key = Buffer.allocUnsafe(4)
  key.writeUInt32BE(value, 0)
  return key
}

export function encodeChunkKey(serial: number, chunk: number): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeUInt32BE(serial, 0)
  key.writeUInt32BE(chunk, 4)
  return key
}

/** A chunk of a manifest: for each entry the length of its CID, the CID, and the length of the block. */
export function encodeChunk(entries: readonly ManifestEntry[]): Buffer {
  const size = entries.reduce((sum, { cid }) => sum + 1 + cid.bytes.length + 4, 0)
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const { cid, length } of entries) {
    at = bytes.writeUInt8(cid.bytes.length, at)
    bytes.set(cid.bytes, at)
    at = bytes.writeUInt32BE(length, at + cid.bytes.length)
  }
  return bytes
}

export function decodeChunk(bytes: Buffer): ManifestEntry[] {
  const entries: ManifestEntry[] = []
  let at = 0
  while (at < bytes.length) {
    const cidEnd = at + 1 + bytes.readUInt8(at)
    entries.push({ cid: CID.decode(bytes.subarray(at + 1, cidEnd)), length: bytes.readUInt32BE(cidEnd) })
    at = cidEnd + 4
  }
  return entries
}
