import type { MultihashDigest } from 'multiformats'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { base32 } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'
import { IDENTITY, LIBP2P_KEY, SHA2_256 } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_CID_TEXT } from '../core/limits.ts'
import { multihashInRoutingKey } from '../core/routing-key.ts'

/** The longest public key that stands in its own name (peer ids of libp2p): Ed25519 takes 36 bytes, secp256k1 37. */
const MAX_INLINE_KEY_BYTES = 42
const SHA2_256_BYTES = 32

/** A name of IPNS: the multihash of a public key. */
export interface IpnsName {
  /** The one canonical form: a CIDv1 with the codec libp2p-key in base36 (`k51…`); fits a DNS label. */
  readonly text: string
  /** The multihash, binary: identity over the key itself, or its sha2-256. */
  readonly multihash: MultihashDigest
}

/**
 * Reads a name in any of its forms: a CIDv1 with the codec libp2p-key in base36, base32 (either case) or base58btc, or
 * a bare multihash in base58btc as peer ids are written (`12D3Koo…`, `16Uiu2…`, `Qm…`).
 * @throws INVALID_NAME when it is none, among them CIDs of content
 */
export function parseIpnsName(text: string): IpnsName {
  if (text.length === 0 || text.length > MAX_CID_TEXT) throw notAName(text)
  try {
    return nameOfMultihash(multihashIn(text))
  } catch (cause) {
    throw notAName(text, cause)
  }
}

/**
 * The name whose multihash this is. Lets a gateway find the name behind a CID that has the wrong codec (dag-pb), as
 * old tools wrote it.
 * @throws INVALID_NAME when no public key has such a multihash
 */
export function nameOfMultihash(multihash: MultihashDigest): IpnsName {
  const { code, digest } = multihash
  const isInline = code === IDENTITY && digest.length > 0 && digest.length <= MAX_INLINE_KEY_BYTES
  const isHashed = code === SHA2_256 && digest.length === SHA2_256_BYTES
  if (!isInline && !isHashed) throw new HoldfastError('INVALID_NAME', 'This multihash is not that of a public key.')
  return { text: CID.createV1(LIBP2P_KEY, multihash).toString(base36), multihash }
}

/** The name whose record has that key in routing systems. @throws INVALID_NAME when it is the key of something else */
export function nameOfRoutingKey(key: Uint8Array): IpnsName {
  const multihash = multihashInRoutingKey(key)
  if (multihash === undefined) throw new HoldfastError('INVALID_NAME', 'This routing key is not that of an IPNS name.')
  try {
    return nameOfMultihash(decodeMultihash(multihash))
  } catch (cause) {
    throw new HoldfastError('INVALID_NAME', 'This routing key holds no multihash of a public key.', { cause })
  }
}

/** The name as older software writes it: a peer id in base58btc. */
export function peerIdOf(name: IpnsName): string {
  return base58btc.encode(name.multihash.bytes).slice(1)
}

function multihashIn(text: string): MultihashDigest {
  if (text.startsWith('1') || text.startsWith('Qm')) return decodeMultihash(base58btc.decode(`z${text}`))
  const cid = cidIn(text)
  if (cid.code !== LIBP2P_KEY) throw new HoldfastError('INVALID_NAME', 'The codec of this CID is not libp2p-key.')
  return cid.multihash
}

function cidIn(text: string): CID {
  const prefix = text[0]
  if (prefix === 'k' || prefix === 'K') return CID.parse(text.toLowerCase(), base36)
  if (prefix === 'b' || prefix === 'B') return CID.parse(text.toLowerCase(), base32)
  return CID.parse(text, base58btc)
}

function notAName(text: string, cause?: unknown): HoldfastError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return new HoldfastError('INVALID_NAME', `${JSON.stringify(shown)} is not an IPNS name.`, { cause })
}
