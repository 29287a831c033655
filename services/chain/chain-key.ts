import { computeAddress, recoverAddress, SigningKey } from 'ethers'
import { HoldfastError } from '../core/errors.ts'
import type { Hex } from './hex.ts'

/** A secp256k1 key, by which something is signed for everybody to check. */
export interface ChainKey {
  /** Lower-case. */
  address: Hex
  /** r, s and v over a hash: 65 bytes. The same for the same hash (RFC 6979). */
  sign(digest: Uint8Array): Hex
}

/**
 * The key that a setting names: 32 bytes in hex, with `0x` or without.
 * @throws CONFIG, without the text
 */
export function readChainKey(text: string, settingName: string): ChainKey {
  const hex = text.trim().replace(/^0x/, '')
  try {
    const key = new SigningKey(`0x${hex}`)
    const address = computeAddress(key.publicKey).toLowerCase() as Hex
    return { address, sign: (digest) => key.sign(digest).serialized as Hex }
  } catch {
    throw new HoldfastError('CONFIG', `${settingName} must be a secp256k1 key: 32 bytes in hex.`)
  }
}

/** Whose key has signed the hash: a lower-case address; undefined for what is no signature. */
export function signerOf(digest: Uint8Array, signature: string): Hex | undefined {
  try {
    return recoverAddress(digest, signature).toLowerCase() as Hex
  } catch {
    return undefined
  }
}
