import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import { nameOfMultihash, type IpnsName } from './ipns-name.ts'
import { readTypedBytes, typedBytes } from './protobuf.ts'
import { ED25519, multihashOf, parsePublicKey, publicKeyProtobuf, RSA, SECP256K1 } from './public-key.ts'

/** An RSA key of 8,192 bits has 4,700 bytes. */
const MAX_PRIVATE_KEY_BYTES = 8_192
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SECP256K1_SEC1 = { before: Buffer.from('302e0201010420', 'hex'), after: Buffer.from('a00706052b8104000a', 'hex') }

/** A private key, and the name that belongs to it. */
export interface SigningKey {
  readonly name: IpnsName
  /** The public key in libp2p's protobuf form. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  /** As `isSignature` of public-key.ts checks it. */
  sign(message: Uint8Array): Uint8Array<ArrayBuffer>
  /** The private key in libp2p's protobuf form, as `ipfs key export` writes it. Never logged, never stored in the clear. */
  exportSecret(): Uint8Array
}

/** A new key. Ed25519 unless there is a reason: its names carry the key, and its records are the smallest. */
export function generateSigningKey(type: 'ed25519' | 'secp256k1' | 'rsa' = 'ed25519'): SigningKey {
  if (type === 'ed25519') return signingKey(generateKeyPairSync('ed25519').privateKey)
  if (type === 'secp256k1') return signingKey(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey)
  return signingKey(generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey)
}

/**
 * Reads a private key in libp2p's protobuf form.
 * @throws BAD_REQUEST when it is none of the three types or malformed; INVALID_RECORD when its public key is one that
 *   records may not have
 */
export function importSigningKey(protobuf: Uint8Array): SigningKey {
  if (protobuf.length > MAX_PRIVATE_KEY_BYTES) throw new HoldfastError('BAD_REQUEST', 'The private key is too large.')
  let key: KeyObject
  try {
    key = privateKeyIn(protobuf)
  } catch {
    // The cause is left out: it may quote the key.
    throw new HoldfastError('BAD_REQUEST', 'This is no private key of libp2p (Ed25519, secp256k1 or RSA).')
  }
  return signingKey(key)
}

function privateKeyIn(protobuf: Uint8Array): KeyObject {
  const { type, data } = readTypedBytes(protobuf)
  if (type === RSA) return createPrivateKey({ key: Buffer.from(data), format: 'der', type: 'pkcs1' })
  if (type === SECP256K1 && data.length === 32) {
    const der = Buffer.concat([SECP256K1_SEC1.before, data, SECP256K1_SEC1.after])
    return createPrivateKey({ key: der, format: 'der', type: 'sec1' })
  }
  if (type !== ED25519 || data.length !== 64) throw new RangeError('The key is of an unknown type or length.')
  const der = Buffer.concat([ED25519_PKCS8, data.subarray(0, 32)])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' })
  if (Buffer.compare(data.subarray(32), Buffer.from(x, 'base64url')) !== 0) {
    throw new RangeError('The private key is not that of its public key.')
  }
  return key
}

function signingKey(privateKey: KeyObject): SigningKey {
  const publicKey = publicKeyProtobuf(createPublicKey(privateKey))
  const { digest } = parsePublicKey(publicKey)
  return {
    name: nameOfMultihash(multihashOf(publicKey)),
    publicKey,
    sign: (message) => sign(digest, message, privateKey),
    exportSecret: () => secretOf(privateKey),
  }
}

function secretOf(key: KeyObject): Uint8Array {
  if (key.asymmetricKeyType === 'rsa') return typedBytes(RSA, key.export({ format: 'der', type: 'pkcs1' }))
  if (key.asymmetricKeyType === 'ed25519') return typedBytes(ED25519, ed25519Bytes(key))
  const { d = '' } = key.export({ format: 'jwk' })
  return typedBytes(SECP256K1, Buffer.from(d, 'base64url'))
}

/** The seed and then the public key. */
function ed25519Bytes(key: KeyObject): Buffer {
  const { d = '', x = '' } = key.export({ format: 'jwk' })
  return Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')])
}
