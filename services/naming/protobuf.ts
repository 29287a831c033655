/** The little of protobuf that keys and records need: varints and bytes at the top level of a message. */

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5
const MAX_UINT64 = 0xffff_ffff_ffff_ffffn

/** A field as it stands in a message: a varint is a bigint below 2^64, the rest are bytes (a view). */
export interface Field {
  number: number
  value: bigint | Uint8Array
}

/**
 * The fields of a message in their order.
 * @throws RangeError when the bytes end too early, hold a group, or a varint has more than 64 bits
 */
export function* readFields(bytes: Uint8Array): Generator<Field> {
  let offset = 0
  while (offset < bytes.length) {
    const tag = readVarint(bytes, offset)
    const number = Number(tag.value >> 3n)
    const wireType = Number(tag.value & 7n)
    if (number === 0 || number > 0x1fff_ffff) throw new RangeError('A protobuf field has no valid number.')
    if (wireType === VARINT) {
      const { value, end } = readVarint(bytes, tag.end)
      yield { number, value }
      offset = end
      continue
    }
    const { start, end } = extentOf(bytes, wireType, tag.end)
    if (end > bytes.length) throw new RangeError('A protobuf field ends after its message.')
    yield { number, value: bytes.subarray(start, end) }
    offset = end
  }
}

function extentOf(bytes: Uint8Array, wireType: number, start: number): { start: number; end: number } {
  if (wireType === FIXED64) return { start, end: start + 8 }
  if (wireType === FIXED32) return { start, end: start + 4 }
  if (wireType !== BYTES) throw new RangeError(`The protobuf wire type ${wireType} is not supported.`)
  const length = readVarint(bytes, start)
  return { start: length.end, end: length.end + Number(length.value) }
}

function readVarint(bytes: Uint8Array, offset: number): { value: bigint; end: number } {
  const first = bytes[offset]
  if (first !== undefined && first < 0x80) return { value: BigInt(first), end: offset + 1 }
  let value = 0n
  for (let at = offset; at < offset + 10; at++) {
    const byte = bytes[at]
    if (byte === undefined) break
    value |= BigInt(byte & 0x7f) << BigInt(7 * (at - offset))
    if (byte < 0x80 && value <= MAX_UINT64) return { value, end: at + 1 }
  }
  throw new RangeError('A protobuf varint does not end or has more than 64 bits.')
}

/** A message of a number in field 1 and bytes in field 2: the form of libp2p's keys. */
export function typedBytes(type: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = data.length < 0x80 ? [data.length] : [(data.length & 0x7f) | 0x80, data.length >> 7]
  return Buffer.concat([Uint8Array.of(0x08, type, 0x12, ...length), data])
}

/** Reads {@link typedBytes}. @throws RangeError when a field is missing, unknown or of another type */
export function readTypedBytes(bytes: Uint8Array): { type: number; data: Uint8Array } {
  let type: bigint | undefined
  let data: Uint8Array | undefined
  for (const { number, value } of readFields(bytes)) {
    if (number === 1 && typeof value === 'bigint') type = value
    else if (number === 2 && typeof value !== 'bigint') data = value
    else throw new RangeError('A key has only a type and its data.')
  }
  if (type === undefined || data === undefined) throw new RangeError('A key has a type and its data.')
  return { type: Number(type), data }
}
