import type { SecureContextOptions, TLSSocket } from 'node:tls'
import { publicKeyOf, type NodeIdentity } from '../core/node-key.ts'

/**
 * TLS 1.3 by the node's own key. Certificates are self-signed: nothing of them counts but the key, whose possession the
 * handshake proves, and which is compared with the directory on both sides.
 */
export function tlsOptions(identity: NodeIdentity): SecureContextOptions {
  return {
    key: identity.keyPem,
    cert: identity.certificatePem,
    minVersion: 'TLSv1.3',
    // Processors have instructions for it; nothing is gained by 256 bits against anybody who could break 128.
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
  }
}

/** The key that the other side has proved to hold; undefined when it showed no Ed25519 certificate. */
export function provenKey(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate()
  return certificate === undefined ? undefined : publicKeyOf(certificate)
}
