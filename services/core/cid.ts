import { base32 } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { HoldfastError } from './errors.ts'
import { MAX_CID_TEXT, MAX_IDENTITY_BYTES, MIN_DIGEST_BYTES } from './limits.ts'

export const RAW = 0x55
export const DAG_PB = 0x70
export const DAG_CBOR = 0x71
export const LIBP2P_KEY = 0x72
export const DAG_JSON = 0x0129
export const CBOR = 0x51
export const JSON_CODEC = 0x0200

export const IDENTITY = 0x00
export const SHA1 = 0x11
export const SHA2_256 = 0x12
export const SHA2_512 = 0x13
export const BLAKE2B_256 = 0xb220
export const BLAKE3 = 0x1e

/** Hashes that content may be addressed by. We create sha2-256 only; sha1 is there for old git-like data. */
const ALLOWED_HASHES: ReadonlySet<number> = new Set([IDENTITY, SHA1, SHA2_256, SHA2_512, BLAKE2B_256, BLAKE3])

/** Codecs whose links we can follow, so that we can tell whether a DAG is complete. */
const ALLOWED_CODECS: ReadonlySet<number> = new Set([RAW, DAG_PB, DAG_CBOR, DAG_JSON, CBOR, JSON_CODEC])

/**
 * The CID that a text says, in any of the bases base32, base36 and base58btc (either case for base32), version 0 or 1.
 * @throws INVALID_CID when it is none or longer than {@link MAX_CID_TEXT}; HASH_NOT_ALLOWED, UNSUPPORTED_CODEC as {@link checkCid}
 */
export function parseCid(text: string): CID {
  if (text.length === 0 || text.length > MAX_CID_TEXT) throw invalidCid(text)
  return checkCid(decodeCid(text))
}

/** The CID that a text says, whatever its hash and codec. @throws INVALID_CID */
export function decodeCid(text: string): CID {
  try {
    const prefix = text[0]
    if (prefix === 'k') return CID.parse(text, base36)
    if (prefix === 'K') return CID.parse(text.toLowerCase(), base36)
    if (prefix === 'B') return CID.parse(text.toLowerCase(), base32)
    if (prefix === 'z') return CID.parse(text, base58btc)
    return CID.parse(text)
  } catch (cause) {
    throw invalidCid(text, cause)
  }
}

function invalidCid(text: string, cause?: unknown): HoldfastError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return new HoldfastError('INVALID_CID', `${JSON.stringify(shown)} is not a CID.`, { cause })
}

/**
 * Lets a CID pass whose hash and codec we accept for content, and refuses the rest.
 * @throws INVALID_CID for a peer id; HASH_NOT_ALLOWED for a hash function or digest length we do not accept;
 *   UNSUPPORTED_CODEC when its links could not be followed
 */
export function checkCid(cid: CID): CID {
  const { code, digest } = cid.multihash
  if (cid.code === LIBP2P_KEY) {
    throw new HoldfastError('INVALID_CID', 'This is the CID of a key (an IPNS name or peer id), not of content.')
  }
  if (!ALLOWED_HASHES.has(code)) {
    throw new HoldfastError('HASH_NOT_ALLOWED', `The hash function 0x${code.toString(16)} is not allowed.`)
  }
  if (code === IDENTITY && digest.length > MAX_IDENTITY_BYTES) {
    throw new HoldfastError('HASH_NOT_ALLOWED', `An identity CID may hold at most ${MAX_IDENTITY_BYTES} bytes.`)
  }
  if (code !== IDENTITY && digest.length < MIN_DIGEST_BYTES) {
    throw new HoldfastError('HASH_NOT_ALLOWED', `A digest must have at least ${MIN_DIGEST_BYTES} bytes.`)
  }
  if (!ALLOWED_CODECS.has(cid.code)) {
    throw new HoldfastError('UNSUPPORTED_CODEC', `The codec 0x${cid.code.toString(16)} is not supported.`)
  }
  return cid
}

/** Version 1 of a CID: the form in which roots are compared and stored, so that v0 and v1 of one DAG are one. */
export function toV1(cid: CID): CID {
  return cid.version === 1 ? cid : CID.createV1(cid.code, cid.multihash)
}

/** The text by which we speak of a root inside: version 1, base32. */
export function cidKey(cid: CID): string {
  return toV1(cid).toString(base32)
}

/** Whether the block's bytes are inside the CID itself, so that nothing is ever stored or fetched for it. */
export function isIdentity(cid: CID): boolean {
  return cid.multihash.code === IDENTITY
}
