import type { MultibaseDecoder } from 'multiformats'
import { base10 } from 'multiformats/bases/base10'
import { base16 } from 'multiformats/bases/base16'
import { base2 } from 'multiformats/bases/base2'
import { base256emoji } from 'multiformats/bases/base256emoji'
import { base32, base32hex, base32hexpad, base32pad, base32z } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import { base58btc, base58flickr } from 'multiformats/bases/base58'
import { base64, base64pad, base64url, base64urlpad } from 'multiformats/bases/base64'
import { base8 } from 'multiformats/bases/base8'
import { CID } from 'multiformats/cid'
import { checkCid, toV1 } from '../cid.ts'
import { hasCode } from '../errors.ts'
import { MAX_CID_TEXT } from '../limits.ts'

type Decoder = MultibaseDecoder<string>

/** Bases whose letters mean the same in either case, as Kubo reads them. */
const CASELESS: ReadonlyMap<string, Decoder> = new Map(
  [base16, base32, base32pad, base32hex, base32hexpad, base36].map((base) => [base.prefix, base.decoder]),
)
const CASE_SENSITIVE: ReadonlyMap<string, Decoder> = new Map(
  [
    base2,
    base8,
    base10,
    base32z,
    base58btc,
    base58flickr,
    base64,
    base64pad,
    base64url,
    base64urlpad,
    base256emoji,
  ].map((base) => [base.prefix, base.decoder]),
)

/** Hash functions that are sound and that we cannot check: sha3, shake-256, keccak, sha2-384, dbl-sha2-256, sha2-256-trunc254. */
const STRONG_HASHES: ReadonlySet<number> = new Set([
  0x14, 0x15, 0x16, 0x17, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x20, 0x56, 0x1012,
])
const MIN_STRONG_DIGEST_BYTES = 28
const MAX_DIGEST_BYTES = 128
const CID_V0_LENGTH = 46

/** The CID that a text says in any base of multibase, or version 0; undefined when it says none. */
export function readCid(text: string): CID | undefined {
  if (text.length < 4 || text.length > MAX_CID_TEXT) return undefined
  try {
    return decode(text)
  } catch {
    return undefined
  }
}

// Not by `CID.parse`, and below not by `toString`: their cache of texts takes longer than to decode.
function decode(text: string): CID | undefined {
  if (text.startsWith('Q')) return text.length === CID_V0_LENGTH ? decodeV0(text) : undefined
  const prefix = String.fromCodePoint(text.codePointAt(0) ?? 0)
  const caseless = CASELESS.get(prefix.toLowerCase())
  if (caseless !== undefined) return decodeV1(caseless.decode(text.toLowerCase()))
  const decoder = CASE_SENSITIVE.get(prefix)
  return decoder && decodeV1(decoder.decode(text))
}

/** Version 0 is sha2-256 in full, and nothing else. */
function decodeV0(text: string): CID | undefined {
  const cid = CID.decode(base58btc.decode(`${base58btc.prefix}${text}`))
  return cid.version === 0 && cid.multihash.digest.length === 32 ? cid : undefined
}

/** Version 0 has no base: bytes of it behind a prefix are no CID. */
function decodeV1(bytes: Uint8Array): CID | undefined {
  const cid = CID.decode(bytes)
  return cid.version === 1 ? cid : undefined
}

/** Version 1 in base32. */
export function cidText(cid: CID): string {
  return base32.encode(toV1(cid).bytes)
}

/** Whether content with this CID can be kept and checked; the CID of a key is none. */
export function verdictOfCid(cid: CID): 'IMMUTABLE' | 'UNSUPPORTED' | 'UNSAFE' {
  const { code, digest } = cid.multihash
  if (digest.length > MAX_DIGEST_BYTES) return 'UNSAFE'
  try {
    checkCid(cid)
    return 'IMMUTABLE'
  } catch (error) {
    if (!hasCode(error, 'HASH_NOT_ALLOWED')) return 'UNSUPPORTED'
    return STRONG_HASHES.has(code) && digest.length >= MIN_STRONG_DIGEST_BYTES ? 'UNSUPPORTED' : 'UNSAFE'
  }
}
