import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto'
import type { MultihashDigest } from 'multiformats'
import { create as createMultihash } from 'multiformats/hashes/digest'
import { IDENTITY, SHA2_256 } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { readTypedBytes, typedBytes } from './protobuf.ts'

/** The key types of libp2p by their numbers in protobuf (libp2p specs, peer-ids). */
export const RSA = 0
export const ED25519 = 1
export const SECP256K1 = 2

/** Of an RSA key. Below, signatures can be forged; above, one check costs more than a resolver should spend. */
const MIN_RSA_BITS = 2_048
const MAX_RSA_BITS = 8_192
/** What every implementation takes (crypto/rsa of Go). An exponent as long as the modulus makes a check cost 1,000 times as much. */
const MAX_RSA_EXPONENT = 0x7fff_ffffn
/** An RSA key of 8,192 bits has 1,070 bytes; more is not even parsed. */
const MAX_KEY_BYTES = 1_200
/** Longer keys are named by their hash. */
const MAX_INLINE_BYTES = 42

const SECP256K1_SPKI = Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex')

/** A public key, and what is hashed before it checks a signature: null where the scheme hashes by itself. */
export interface PublicKey {
  key: KeyObject
  digest: 'sha256' | null
}

/**
 * Reads a public key in libp2p's protobuf form.
 * @throws INVALID_RECORD for malformed keys, other types than RSA, Ed25519 and secp256k1, and RSA keys that are too
 *   weak or too large
 */
export function parsePublicKey(protobuf: Uint8Array): PublicKey {
  if (protobuf.length > MAX_KEY_BYTES) throw refused('is too large')
  try {
    return keyIn(protobuf)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw refused('cannot be read', cause)
  }
}

function keyIn(protobuf: Uint8Array): PublicKey {
  const { type, data } = readTypedBytes(protobuf)
  if (type === ED25519 && data.length === 32) {
    // As JWK: OpenSSL takes a quarter longer to find out what a DER is. (To ask the object for its type would cost half as
    // much again, so the digest is told here.)
    const x = Buffer.from(data).toString('base64url')
    return { key: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }), digest: null }
  }
  if (type === SECP256K1 && data.length === 33) {
    return { key: fromSpki(Buffer.concat([SECP256K1_SPKI, data])), digest: 'sha256' }
  }
  if (type !== RSA) throw refused('is of an unknown type or length')
  const key = fromSpki(Buffer.from(data))
  checkRsa(key)
  return { key, digest: 'sha256' }
}

function fromSpki(der: Buffer): KeyObject {
  return createPublicKey({ key: der, format: 'der', type: 'spki' })
}

function checkRsa(key: KeyObject): void {
  if (key.asymmetricKeyType !== 'rsa') throw refused('is not the RSA key that it says')
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < MIN_RSA_BITS) throw refused(`has fewer than ${MIN_RSA_BITS} bits`)
  if (modulusLength > MAX_RSA_BITS) throw refused(`has more than ${MAX_RSA_BITS} bits`)
  const isSound = publicExponent >= 3n && publicExponent <= MAX_RSA_EXPONENT && publicExponent % 2n === 1n
  if (!isSound) throw refused('has an unsound exponent')
}

/** libp2p's protobuf form of a public key of one of the three types. */
export function publicKeyProtobuf(key: KeyObject): Uint8Array<ArrayBuffer> {
  if (key.asymmetricKeyType === 'rsa') return typedBytes(RSA, key.export({ format: 'der', type: 'spki' }))
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  const first = Buffer.from(x, 'base64url')
  if (key.asymmetricKeyType === 'ed25519') return typedBytes(ED25519, first)
  const isOdd = ((Buffer.from(y, 'base64url').at(-1) ?? 0) & 1) === 1
  return typedBytes(SECP256K1, Buffer.concat([Uint8Array.of(isOdd ? 3 : 2), first]))
}

/** The multihash by which a key is named: the key itself when it is short, else its sha2-256 (libp2p specs, peer-ids). */
export function multihashOf(protobuf: Uint8Array): MultihashDigest {
  if (protobuf.length <= MAX_INLINE_BYTES) return createMultihash(IDENTITY, protobuf)
  return createMultihash(SHA2_256, hash('sha256', protobuf, 'buffer'))
}

/** Whether the key's owner signed the message: Ed25519, or RSASSA-PKCS1-v1_5 and ECDSA (DER) over its sha2-256. */
export function isSignature({ key, digest }: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return verify(digest, message, key, signature)
}

function refused(what: string, cause?: unknown): HoldfastError {
  return new HoldfastError('INVALID_RECORD', `The public key of the record ${what}.`, { cause })
}
