import { createPublicKey, verify, type KeyObject, type X509Certificate } from 'node:crypto'

/**
 * Nodes and controllers are known by an Ed25519 public key: 32 bytes, written as base64url. The same key is the node's
 * TLS certificate key and its libp2p identity.
 */
export interface NodeIdentity {
  /** base64url of 32 bytes. */
  publicKey: string
  /** The 32 byte seed, for libp2p. Never logged. */
  seed: Uint8Array
  /** PEM of the key, for TLS. Never logged. */
  keyPem: string
  /** PEM of a self-signed certificate over the key. Peers compare the key; nobody signs certificates. */
  certificatePem: string
  /** An Ed25519 signature over the message, base64url. */
  sign(message: string): string
}

/** The base64url public key inside a certificate; undefined when that is no Ed25519 key. */
export function publicKeyOf(certificate: Pick<X509Certificate, 'publicKey'>): string | undefined {
  return rawPublicKey(certificate.publicKey)
}

/** The base64url form of a key object; undefined when that is no Ed25519 key. */
export function rawPublicKey(key: KeyObject): string | undefined {
  return key.asymmetricKeyType === 'ed25519' ? key.export({ format: 'jwk' }).x : undefined
}

/** Whether `signature` (base64url) was made over `message` by the holder of `publicKey` (base64url). False for malformed input. */
export function isSignedBy(publicKey: string, message: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
    return verify(null, Buffer.from(message), key, Buffer.from(signature, 'base64url'))
  } catch {
    return false
  }
}
