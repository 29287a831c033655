import type { CID } from 'multiformats/cid'

/**
 * The multihash as a string of one byte a character: what blocks are told apart by, as in the store.
 * Half the memory of hexadecimal, and made without a loop.
 */
export function multihashKey(cid: CID): string {
  const { buffer, byteOffset, byteLength } = cid.multihash.bytes
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}
