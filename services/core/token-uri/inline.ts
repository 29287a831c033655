import { MIB } from '../units.ts'
import { decodePercent } from './percent.ts'
import { INVALID, plainUri, type TokenUri } from './token-uri.ts'

/** Content inside a URI, in characters: what a token may answer at most. Larger is named, not read. */
export const MAX_INLINE = MIB
/** What stands before the comma of a data URI. */
const MAX_DATA_HEAD = 512
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/

/** Whether content stands in the text itself: a data URI, JSON, SVG or HTML. The text has no space before it. */
export function isInline(text: string): boolean {
  return text.startsWith('{') || text.startsWith('<') || isData(text)
}

/** @param text for which {@link isInline} holds */
export function readInline(text: string): TokenUri {
  if (isData(text)) return text.length > MAX_INLINE ? plainUri('data', 'UNSUPPORTED') : readData(text)
  if (text.length > MAX_INLINE) return plainUri('inline', 'UNSUPPORTED')
  const mediaType = text.startsWith('{') ? jsonType(text) : markupType(text)
  if (mediaType === undefined) return INVALID
  return { ...plainUri('inline', 'ON_CHAIN'), content: { mediaType, sizeBytes: Buffer.byteLength(text) } }
}

function isData(text: string): boolean {
  return text.slice(0, 5).toLowerCase() === 'data:'
}

/** RFC 2397, and what contracts make of it: `;utf8`, `#` and `%` as they are, base64 without its padding. */
function readData(text: string): TokenUri {
  const comma = text.slice(0, MAX_DATA_HEAD).indexOf(',')
  if (comma === -1) return plainUri('data', 'INVALID')
  const [type = '', ...parameters] = text.slice('data:'.length, comma).split(';')
  const payload = text.slice(comma + 1)
  const isBase64 = parameters.at(-1)?.trim().toLowerCase() === 'base64'
  const sizeBytes = isBase64 ? base64Size(payload) : textSize(payload)
  if (sizeBytes === undefined) return plainUri('data', 'INVALID')
  if (sizeBytes === 0) return plainUri('data', 'EMPTY')
  const mediaType = type.trim().toLowerCase()
  const content = { mediaType: MEDIA_TYPE.test(mediaType) ? mediaType : 'text/plain', sizeBytes }
  return { ...plainUri('data', 'ON_CHAIN'), content }
}

/** Bytes that base64 stands for, in either alphabet, padded or not; undefined when it is none. */
function base64Size(payload: string): number | undefined {
  const text = decodePercent(payload).replaceAll(/[\t\n\f\r ]+/g, '')
  const end = text.search(/[^A-Za-z0-9+/_-]/)
  const length = end === -1 ? text.length : end
  const isPadded = text.length - length <= 2 && /^=*$/.test(text.slice(length))
  return isPadded && length % 4 !== 1 ? Math.floor((length * 3) / 4) : undefined
}

/** Each escape is a byte, also one that is no UTF-8. */
function textSize(payload: string): number {
  const escapes = payload.includes('%') ? (payload.match(/%[0-9a-f]{2}/gi)?.length ?? 0) : 0
  return Buffer.byteLength(payload) - 2 * escapes
}

function jsonType(text: string): string | undefined {
  try {
    JSON.parse(text)
    return 'application/json'
  } catch {
    return undefined
  }
}

function markupType(text: string): string | undefined {
  const start = text.slice(0, 64)
  if (/^<(?:svg[\s/>]|\?xml\s|!doctype\s+svg)/i.test(start)) return 'image/svg+xml'
  return /^<(?:html[\s>]|!doctype\s+html)/i.test(start) ? 'text/html' : undefined
}
