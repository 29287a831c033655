import { decodePercent } from './percent.ts'
import { trimInvisible } from './trim.ts'

const PERCENT = 0x25

/**
 * The bytes of a URI that holds its content: a data URI (RFC 2397), or JSON, SVG or HTML as it is. What is no base64 in a
 * payload that should be is passed over.
 * @param uri that `classifyTokenUri` found to be on chain
 */
export function inlineContent(uri: string): Uint8Array {
  const text = trimInvisible(uri)
  if (text.slice(0, 5).toLowerCase() !== 'data:') return Buffer.from(text)
  const comma = text.indexOf(',')
  const payload = text.slice(comma + 1)
  const isBase64 = /;\s*base64\s*$/i.test(text.slice(0, comma))
  return isBase64 ? Buffer.from(decodePercent(payload), 'base64') : unescaped(Buffer.from(payload))
}

/** Each escape is a byte, also one that is no UTF-8; one that is none stays as it stands. */
function unescaped(bytes: Buffer): Uint8Array {
  if (!bytes.includes(PERCENT)) return bytes
  const plain = Buffer.alloc(bytes.length)
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const digits = bytes[at] === PERCENT ? bytes.toString('latin1', at + 1, at + 3) : ''
    const isEscape = /^[0-9a-f]{2}$/i.test(digits)
    plain[length++] = isEscape ? Number.parseInt(digits, 16) : (bytes[at] as number)
    if (isEscape) at += 2
  }
  return plain.subarray(0, length)
}
