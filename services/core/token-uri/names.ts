import { domainToASCII, domainToUnicode } from 'node:url'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import type { MultihashDigest } from 'multiformats'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'
import { DAG_PB, IDENTITY, LIBP2P_KEY, SHA2_256 } from '../cid.ts'
import { MAX_CID_TEXT } from '../limits.ts'
import { readCid } from './cid-text.ts'

/** The longest public key that stands in its own name (libp2p specs, peer-ids). */
const MAX_INLINE_KEY_BYTES = 42
/** RFC 1035: 253 characters of text; ENS has no limit of its own that is lower. */
const MAX_DOMAIN = 253
const DNS_LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/
/** What no label of an ENS name has after normalisation (ENSIP-15): separators of URIs, spaces, controls. */
const NOT_IN_ENS_LABEL = /[\s\p{Cc}\p{Cf}/\\?#:@%]/u

/** The name of a key, as `/ipns/` takes it, in its one form: base36. Undefined when the text names no key. */
export function readKey(text: string): string | undefined {
  const peerId = readPeerId(text)
  if (peerId !== undefined) return peerId
  const cid = readCid(text)
  // Old tools wrote keys as CIDs of content; gateways read them as keys.
  return cid?.code === LIBP2P_KEY || cid?.code === DAG_PB ? keyName(cid.multihash) : undefined
}

/** The name whose multihash this is; undefined when no public key has such a one. */
export function keyName(multihash: MultihashDigest): string | undefined {
  const { code, digest } = multihash
  const isInline = code === IDENTITY && digest.length > 0 && digest.length <= MAX_INLINE_KEY_BYTES
  const isHashed = code === SHA2_256 && digest.length === 32
  return isInline || isHashed ? CID.createV1(LIBP2P_KEY, multihash).toString(base36) : undefined
}

/** A peer id that can be nothing else (`12D3Koo…`, `16Uiu2…`): a bare multihash with the key in it. */
export function readPeerId(text: string): string | undefined {
  if (!text.startsWith('1') || text.length > MAX_CID_TEXT) return undefined
  try {
    return keyName(decodeMultihash(base58btc.decode(`z${text}`)))
  } catch {
    return undefined
  }
}

/** A domain or an ENS name, in lower case. ENS names keep their Unicode, domains get their `xn--` form. */
export function readDomain(text: string): { kind: 'dnslink' | 'ens'; name: string } | undefined {
  if (text.length > MAX_DOMAIN + 1 || !text.includes('.')) return undefined
  const lower = text.toLowerCase().replace(/\.$/, '')
  if (lower.endsWith('.eth')) return ensName(lower)
  const name = /[^\0-\x7f]/.test(lower) ? domainToASCII(lower) : lower
  const labels = name.split('.')
  const isDomain = labels.length > 1 && name.length <= MAX_DOMAIN && labels.every((label) => DNS_LABEL.test(label))
  return isDomain && !/^\d+$/.test(labels.at(-1) ?? '') ? { kind: 'dnslink', name } : undefined
}

function ensName(lower: string): { kind: 'ens'; name: string } | undefined {
  const name = (lower.includes('xn--') ? domainToUnicode(lower) : lower).normalize('NFC')
  const labels = name.split('.')
  const isName = labels.every((label) => label !== '' && !NOT_IN_ENS_LABEL.test(label.replaceAll('\u200d', '')))
  return isName ? { kind: 'ens', name: name.toWellFormed() } : undefined
}

/** The domain that a label of a subdomain gateway stands for: `en-wiki--x-org` is `en.wiki-x.org`. */
export function uninlineDomain(label: string): string {
  return label.replaceAll(/--|-/g, (hyphens) => (hyphens === '--' ? '-' : '.'))
}
