import { readVarint, type Cursor } from './varint.ts'

/** The fields of the UnixFS `Data` message (specs.ipfs.tech/unixfs), as they were written. */
export interface UnixfsData {
  type: number
  data: Uint8Array | undefined
  blockSizes: number[]
  hashType: number | undefined
  fanout: number | undefined
  /** Permission bits. */
  mode: number | undefined
  mtime: { seconds: number; nanoseconds: number } | undefined
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

/**
 * Decodes the message. Unknown fields are skipped, as protobuf wants it; `filesize` is too, because it only repeats
 * what the block sizes and the data say.
 * @throws Error when the bytes are no such message
 */
export function decodeUnixfsData(bytes: Uint8Array): UnixfsData {
  const message: UnixfsData = {
    type: -1,
    data: undefined,
    blockSizes: [],
    hashType: undefined,
    fanout: undefined,
    mode: undefined,
    mtime: undefined,
  }
  const cursor: Cursor = { bytes, offset: 0 }
  while (cursor.offset < bytes.length) readField(cursor, message)
  if (message.type < 0) throw new Error('the UnixFS type is missing')
  return message
}

function readField(cursor: Cursor, message: UnixfsData): void {
  const tag = readNumber(cursor)
  switch (tag) {
    case (1 << 3) | VARINT:
      message.type = readNumber(cursor)
      return
    case (2 << 3) | BYTES:
      message.data = readBytes(cursor)
      return
    case (4 << 3) | VARINT:
      message.blockSizes.push(readNumber(cursor))
      return
    case (4 << 3) | BYTES:
      readPacked(readBytes(cursor), message.blockSizes)
      return
    case (5 << 3) | VARINT:
      message.hashType = readNumber(cursor)
      return
    case (6 << 3) | VARINT:
      message.fanout = readNumber(cursor)
      return
    case (7 << 3) | VARINT:
      message.mode = readNumber(cursor) & 0o7777
      return
    case (8 << 3) | BYTES:
      message.mtime = readTime(readBytes(cursor))
      return
    default:
      skip(cursor, tag)
  }
}

function readTime(bytes: Uint8Array): { seconds: number; nanoseconds: number } {
  const cursor: Cursor = { bytes, offset: 0 }
  const time = { seconds: 0, nanoseconds: 0 }
  while (cursor.offset < bytes.length) {
    const tag = readNumber(cursor)
    if (tag === ((1 << 3) | VARINT)) time.seconds = readSigned(cursor)
    else if (tag === ((2 << 3) | FIXED32)) {
      const field = take(cursor, 4)
      time.nanoseconds = new DataView(field.buffer, field.byteOffset, 4).getUint32(0, true)
    } else skip(cursor, tag)
  }
  return time
}

function skip(cursor: Cursor, tag: number): void {
  const wireType = tag % 8
  if (tag < 8) throw new Error('a field without a number')
  if (wireType === VARINT) readSigned(cursor)
  else if (wireType === FIXED64) take(cursor, 8)
  else if (wireType === BYTES) readBytes(cursor)
  else if (wireType === FIXED32) take(cursor, 4)
  else throw new Error(`wire type ${wireType}`)
}

function readPacked(bytes: Uint8Array, target: number[]): void {
  const cursor: Cursor = { bytes, offset: 0 }
  while (cursor.offset < bytes.length) target.push(readNumber(cursor))
}

function readBytes(cursor: Cursor): Uint8Array {
  return take(cursor, readNumber(cursor))
}

function take(cursor: Cursor, length: number): Uint8Array {
  const end = cursor.offset + length
  if (end > cursor.bytes.length) throw new Error('a field ends behind the message')
  const field = cursor.bytes.subarray(cursor.offset, end)
  cursor.offset = end
  return field
}

function readNumber(cursor: Cursor): number {
  const value = readVarint(cursor)
  if (value === undefined) throw new Error('a number is cut off or too large')
  return value
}

/** An int64: negative ones take ten bytes. */
function readSigned(cursor: Cursor): number {
  let value = 0n
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = take(cursor, 1)[0] as number
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return Number(BigInt.asIntN(64, value))
  }
  throw new Error('a number is too large')
}
