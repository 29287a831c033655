import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { RAW, SHA2_256 } from '../../services/core/cid.ts'

/** The CID of a raw block that says `text`. */
export function rawCid(text: string): CID {
  return CID.createV1(RAW, create(SHA2_256, hash('sha256', text, 'buffer')))
}
