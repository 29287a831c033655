import { HoldfastError } from '../core/errors.ts'

/** Bytes [start, end) of a body. */
export interface ByteRange {
  start: number
  end: number
}

/** No byte of what was asked for exists; the answer says how many there are. Its code is RANGE_NOT_SATISFIABLE. */
export class RangeNotSatisfiable extends HoldfastError {
  readonly sizeBytes: number

  constructor(sizeBytes: number) {
    super('RANGE_NOT_SATISFIABLE', `The content has ${sizeBytes} bytes.`)
    this.sizeBytes = sizeBytes
  }
}

/** More are more often an attack than a wish; the whole body is sent instead. */
const MAX_RANGES = 16

/**
 * The satisfiable parts of a `Range` header, in the order asked for (RFC 9110, section 14).
 * Undefined when the header is to be ignored and the whole body sent: another unit, no valid syntax, more than 16 ranges,
 * or ranges that sum up to more than the body.
 * @throws RANGE_NOT_SATISFIABLE ({@link RangeNotSatisfiable}) when the header is valid and no byte it names exists
 */
export function parseRanges(header: string | undefined, sizeBytes: number): ByteRange[] | undefined {
  if (header === undefined) return undefined
  const list = /^bytes=(.*)$/i.exec(header)?.[1]?.split(',', MAX_RANGES + 1)
  if (list === undefined || list.length > MAX_RANGES) return undefined
  const ranges: ByteRange[] = []
  for (const text of list) {
    const range = parseRange(text.trim(), BigInt(sizeBytes))
    if (range === 'invalid') return undefined
    if (range !== 'unsatisfiable') ranges.push(range)
  }
  if (ranges.length === 0) throw new RangeNotSatisfiable(sizeBytes)
  const sum = ranges.reduce((total, { start, end }) => total + end - start, 0)
  return sum > sizeBytes ? undefined : ranges
}

/** Positions are compared as integers of any length: a double rounds 9007199254740993. */
function parseRange(text: string, size: bigint): ByteRange | 'invalid' | 'unsatisfiable' {
  const match = /^(\d{0,64})-(\d{0,64})$/.exec(text)
  const first = match?.[1] ?? ''
  const last = match?.[2] ?? ''
  if (first === '' && last === '') return 'invalid'
  if (first === '') return between(BigInt(last) < size ? size - BigInt(last) : 0n, size, size)
  if (last === '') return between(BigInt(first), size, size)
  if (BigInt(last) < BigInt(first)) return 'invalid'
  return between(BigInt(first), BigInt(last) + 1n, size)
}

function between(start: bigint, end: bigint, size: bigint): ByteRange | 'unsatisfiable' {
  if (start >= size) return 'unsatisfiable'
  return { start: Number(start), end: Number(end < size ? end : size) }
}
