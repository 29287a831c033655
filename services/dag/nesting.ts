import { MAX_CID_TEXT, MAX_CODEC_DEPTH } from '../core/limits.ts'

/** Decoding one longer number costs more than linear time. */
const MAX_NUMBER_TEXT = 1_024

/**
 * Why a recursive decoder must not be given these CBOR bytes; undefined when it may. Reads heads only, in one loop:
 * 100,000 nested arrays would overflow the decoder's stack. All other mistakes are the decoder's to find.
 */
export function cborRisk(bytes: Uint8Array): string | undefined {
  /** Items still to come in each open array, map or tag. */
  const open: number[] = []
  let offset = 0
  while (offset < bytes.length) {
    const initial = bytes[offset++] as number
    const major = initial >> 5
    const minor = initial & 31
    const width = minor < 24 ? 0 : minor <= 27 ? 1 << (minor - 24) : undefined
    if (width === undefined) return 'an indefinite length'
    const value = width === 0 ? minor : bigEndian(bytes, offset, width)
    offset += width
    if (major === 2 || major === 3) offset += value
    const children = major === 4 ? value : major === 5 ? value * 2 : major === 6 ? 1 : 0
    if (children > 0) {
      if (open.push(children) > MAX_CODEC_DEPTH) return `nested deeper than ${MAX_CODEC_DEPTH}`
      continue
    }
    closeFinished(open)
  }
  return undefined
}

function closeFinished(open: number[]): void {
  while (open.length > 0) {
    const last = open.length - 1
    const left = (open[last] as number) - 1
    open[last] = left
    if (left > 0) return
    open.pop()
  }
}

function bigEndian(bytes: Uint8Array, offset: number, width: number): number {
  let value = 0
  for (let at = offset; at < offset + width; at++) value = value * 256 + (bytes[at] ?? 0)
  return value
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
/** The ways to write the key `/`, behind which DAG-JSON keeps a CID as text. */
const SLASH_KEYS: ReadonlySet<string> = new Set(['/', '\\/', '\\u002f', '\\u002F'])

/**
 * Why a recursive decoder must not be given these JSON bytes; undefined when it may: nesting, numbers without end, and
 * CID texts whose base58 would take quadratic time. All other mistakes are the decoder's to find.
 */
export function jsonRisk(bytes: Uint8Array): string | undefined {
  let depth = 0
  let digits = 0
  let behindSlashKey = false
  for (let offset = 0; offset < bytes.length; offset++) {
    const byte = bytes[offset] as number
    if (byte === QUOTE) {
      const end = endOfString(bytes, offset + 1)
      const length = end - offset - 1
      if (behindSlashKey && length > MAX_CID_TEXT) return `a CID longer than ${MAX_CID_TEXT} characters`
      behindSlashKey = length <= 6 && SLASH_KEYS.has(Buffer.from(bytes.subarray(offset + 1, end)).toString('latin1'))
      offset = end
      continue
    }
    if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_CODEC_DEPTH) return `nested deeper than ${MAX_CODEC_DEPTH}`
    } else if (byte === 0x5d || byte === 0x7d) depth--
    digits = byte >= 0x2b && byte <= 0x39 && byte !== 0x2c ? digits + 1 : 0
    if (digits > MAX_NUMBER_TEXT) return `a number longer than ${MAX_NUMBER_TEXT} characters`
    if (byte > 0x20 && byte !== COLON) behindSlashKey = false
  }
  return undefined
}

function endOfString(bytes: Uint8Array, start: number): number {
  let at = start
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return Math.min(at, bytes.length)
}
