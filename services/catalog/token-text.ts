import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

/**
 * A token is `hf_`, 43 base62 digits of 256 random bits, and 6 base62 digits of the CRC-32 of those: scanners for leaked
 * secrets know it when they see it, and a mistyped one is known without asking the database. It never begins with a dash.
 */
const PREFIX = 'hf_'
const RANDOM_BYTES = 32
const RANDOM_DIGITS = 43
const CHECKSUM_DIGITS = 6
const TOKEN = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_DIGITS + CHECKSUM_DIGITS}}$`)
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** A new token. Whoever has this text has its scopes: it is shown once and never kept. */
export function makeToken(): string {
  const digits = base62(BigInt(`0x${randomBytes(RANDOM_BYTES).toString('hex')}`), RANDOM_DIGITS)
  return `${PREFIX}${digits}${checksum(digits)}`
}

/** Whether the text has the form of our tokens but is none. A token that an operator chose has a form of its own. */
export function isMistyped(text: string): boolean {
  if (!text.startsWith(PREFIX)) return false
  if (!TOKEN.test(text)) return true
  const end = PREFIX.length + RANDOM_DIGITS
  return checksum(text.slice(PREFIX.length, end)) !== text.slice(end)
}

/** What the database keeps. Tokens have 256 bits, so that no slow hash is needed against guessing. */
export function hashToken(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

/** Enough to recognise one's own token in a list. */
export function hintOf(text: string): string {
  return `${PREFIX}…${text.slice(-4)}`
}

function checksum(digits: string): string {
  return base62(BigInt(crc32(digits)), CHECKSUM_DIGITS)
}

function base62(value: bigint, length: number): string {
  let rest = value
  let digits = ''
  for (; rest > 0n; rest /= 62n) digits = `${BASE62[Number(rest % 62n)]}${digits}`
  return digits.padStart(length, '0')
}
