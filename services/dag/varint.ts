import { varint } from 'multiformats'

/** The longest varint of a number that JavaScript counts exactly (2^53 - 1). */
export const MAX_VARINT_BYTES = 8

/** Bytes being read, and how far. */
export interface Cursor {
  bytes: Uint8Array
  offset: number
}

/**
 * Reads an unsigned LEB128 number and moves the cursor behind it.
 * Answers undefined, and leaves the cursor, when the bytes end inside the number or it is above 2^53 - 1.
 */
export function readVarint(cursor: Cursor): number | undefined {
  const { bytes } = cursor
  let value = 0
  let scale = 1
  for (let at = cursor.offset; at < bytes.length && at < cursor.offset + MAX_VARINT_BYTES; at++) {
    const byte = bytes[at] as number
    value += (byte & 0x7f) * scale
    if (byte < 0x80) {
      if (!Number.isSafeInteger(value)) return undefined
      cursor.offset = at + 1
      return value
    }
    scale *= 0x80
  }
  return undefined
}

export function varintLength(value: number): number {
  return varint.encodingLength(value)
}

/** Writes the number at the offset, and answers the offset behind it. */
export function writeVarint(value: number, target: Uint8Array, offset: number): number {
  varint.encodeTo(value, target, offset)
  return offset + varint.encodingLength(value)
}
