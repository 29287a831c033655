import { hash } from 'node:crypto'
import { blake2b } from '@noble/hashes/blake2.js'
import { blake3 } from '@noble/hashes/blake3.js'
import type { CID } from 'multiformats/cid'
import { BLAKE2B_256, BLAKE3, IDENTITY, SHA1, SHA2_256, SHA2_512 } from './cid.ts'
import { HoldfastError } from './errors.ts'

/** Whether the bytes are those that the CID names. False also for a hash function that we do not accept. */
export function matches(cid: CID, bytes: Uint8Array): boolean {
  const { code, digest } = cid.multihash
  const actual = digestOf(code, bytes)
  return actual !== undefined && Buffer.compare(actual.subarray(0, digest.length), digest) === 0
}

/**
 * Lets matching bytes pass.
 * @throws HASH_MISMATCH when the bytes are not those that the CID names
 */
export function verify(cid: CID, bytes: Uint8Array): void {
  if (!matches(cid, bytes)) {
    throw new HoldfastError(
      'HASH_MISMATCH',
      `Bytes were offered as block ${cid.toString()} that do not match that CID.`,
    )
  }
}

function digestOf(code: number, bytes: Uint8Array): Uint8Array | undefined {
  switch (code) {
    case SHA2_256:
      return hash('sha256', bytes, 'buffer')
    case IDENTITY:
      return bytes
    case SHA2_512:
      return hash('sha512', bytes, 'buffer')
    case SHA1:
      return hash('sha1', bytes, 'buffer')
    case BLAKE2B_256:
      return blake2b(bytes, { dkLen: 32 })
    case BLAKE3:
      return blake3(bytes)
    default:
      return undefined
  }
}
