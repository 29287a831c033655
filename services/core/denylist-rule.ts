import { base58btc } from 'multiformats/bases/base58'
import { decode as decodeMultihash, type Digest } from 'multiformats/hashes/digest'
import { decodeCid } from './cid.ts'

/** What a rule does: `allow` makes an exception; 410 and 451 say so themselves, `deny` as the list says. */
export type Effect = 'allow' | 'deny' | 410 | 451

/** A line of a denylist, understood. */
export type DenylistRule = { effect: Effect } & (
  | { kind: 'content'; multihash: Digest<number, number>; below: BlockedPath }
  /** A domain in lower case, or the multihash of a key. */
  | { kind: 'name'; name: string | Digest<number, number>; below: BlockedPath }
  /** `hash` is that of the text that names the content, made with the hash function `code`. */
  | { kind: 'double-hash'; code: number; hash: Uint8Array }
)

/** The way below a root, decoded, without slashes around it. */
export interface BlockedPath {
  path: string
  /** Whatever begins with it is meant as well. */
  isPrefix: boolean
}

const SHA2_256 = 0x12
const STATUS_HINT = 'gateway_status'

/**
 * Reads a block item of the compact denylist format (IPIP-383).
 * https://specs.ipfs.tech/compact-denylist-format/#block-item
 * @returns undefined for a line that is none: such lines are skipped, so that one of them does not open the gate for all
 */
export function parseRule(line: string): DenylistRule | undefined {
  const [item = '', ...hints] = line.trim().split(/\s+/)
  const isException = item.startsWith('!')
  const rule = isException ? item.slice(1) : item
  const effect = isException ? 'allow' : (statusOf(hints) ?? 'deny')
  try {
    if (rule.startsWith('//')) return { effect, kind: 'double-hash', ...doubleHash(rule.slice(2)) }
    const [, namespace, root = '', rest = ''] = /^\/(ipfs|ipns)\/([^/]+)(\/.*)?$/.exec(rule) ?? []
    if (namespace === 'ipfs') {
      return { effect, kind: 'content', ...rootAndPath(root, rest, multihashIn) }
    }
    if (namespace === 'ipns') return { effect, kind: 'name', ...nameAndPath(root, rest) }
  } catch {
    // What cannot be decoded names nothing.
  }
  return undefined
}

/** The status that hints (`key=value`) ask for. */
export function statusHint(key: string, value: string): 410 | 451 | undefined {
  if (key !== STATUS_HINT) return undefined
  if (value === '451') return 451
  return value === '410' ? 410 : undefined
}

function statusOf(hints: readonly string[]): 410 | 451 | undefined {
  let status: 410 | 451 | undefined
  for (const hint of hints) {
    const equals = hint.indexOf('=')
    if (equals > 0) status = statusHint(hint.slice(0, equals), hint.slice(equals + 1)) ?? status
  }
  return status
}

function rootAndPath<Root>(
  root: string,
  rest: string,
  read: (text: string) => Root,
): { multihash: Root; below: BlockedPath } {
  const isWhole = /^\*+$/.test(rest)
  return { multihash: read(root), below: isWhole ? { path: '', isPrefix: true } : blockedPath(rest) }
}

function nameAndPath(root: string, rest: string): { name: string | Digest<number, number>; below: BlockedPath } {
  const below = blockedPath(rest)
  return { name: multihashOf(root) ?? decodeURIComponent(root).toLowerCase(), below }
}

/** `*` at the end is read before percent-encoding is undone: an encoded one is a character of a name. */
function blockedPath(rest: string): BlockedPath {
  const isPrefix = rest.endsWith('*')
  const path = decodeURIComponent(isPrefix ? rest.slice(0, -1) : rest)
  return { path: path.replace(/^\/+|\/+$/g, ''), isPrefix }
}

/** The multihash of a CID of any version and codec, or one that stands by itself in base58btc. */
function multihashIn(text: string): Digest<number, number> {
  try {
    return decodeCid(text).multihash
  } catch {
    return decodeMultihash(base58btc.decode(`z${text}`))
  }
}

/** Undefined when the text is a domain. */
export function multihashOf(text: string): Digest<number, number> | undefined {
  if (text.includes('.')) return undefined
  try {
    return multihashIn(text)
  } catch {
    return undefined
  }
}

/** A multihash in base58btc, or, in the older form, the hex of a sha2-256. */
function doubleHash(text: string): { code: number; hash: Uint8Array } {
  if (/^[0-9a-f]{64}$/i.test(text)) return { code: SHA2_256, hash: Buffer.from(text, 'hex') }
  const { code, digest } = decodeMultihash(base58btc.decode(`z${text}`))
  return { code, hash: digest }
}
