import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { RAW, SHA2_256 } from '../../services/core/cid.ts'

/** The CID of the raw block that says `content`. */
export function rawCid(content: string | Uint8Array): CID<unknown, typeof RAW, typeof SHA2_256> {
  return CID.createV1(RAW, create(SHA2_256, hash('sha256', content, 'buffer')))
}
