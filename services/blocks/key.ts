import type { CID } from 'multiformats/cid'

/** A block's key in the index: its multihash. */
export function keyOf(cid: CID): Uint8Array {
  return cid.multihash.bytes
}

/** The same for maps and sets in memory: one character a byte. */
export function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}
