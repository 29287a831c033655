import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Keeps secrets in the database that only processes with the key can read (AES-256-GCM). */
export interface Seal {
  close(secret: Uint8Array, about: string): Buffer
  /** @throws when it was sealed with another key, or about something else */
  open(sealed: Uint8Array, about: string): Buffer
}

/** @param text a long random text, of which the key is the SHA-256 */
export function sealWith(text: string): Seal {
  return sealUnder(hash('sha256', text, 'buffer'))
}

/** @param key 32 bytes; the seal is worthless once whoever owns them has overwritten them */
export function sealUnder(key: Uint8Array): Seal {
  return {
    close(secret, about) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about))
      return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()])
    },
    open(sealed, about) {
      const bytes = Buffer.from(sealed)
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
      decipher.setAAD(Buffer.from(about)).setAuthTag(bytes.subarray(-TAG_BYTES))
      return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
    },
  }
}
