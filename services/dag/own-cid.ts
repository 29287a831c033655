import { CID } from 'multiformats/cid'
import { Digest } from 'multiformats/hashes/digest'

/**
 * The same CID in bytes of its own. Decoders answer views of the block they read, and whoever keeps such a CID would keep
 * the block in memory, up to 2 MiB for 36 bytes.
 */
export function ownCid(cid: CID): CID {
  const { version, code, multihash } = cid
  const bytes = new Uint8Array(cid.bytes)
  const hashBytes = bytes.subarray(bytes.length - multihash.bytes.length)
  const digest = hashBytes.subarray(hashBytes.length - multihash.digest.length)
  return new CID(version, code, new Digest(multihash.code, multihash.size, digest, hashBytes), bytes)
}
