import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import type { CID } from 'multiformats/cid'
import { DAG_CBOR } from '../core/cid.ts'
import { cborRisk, jsonRisk } from './nesting.ts'
import { checkBlockSize, malformed } from './read-block.ts'

/**
 * The value of a DAG-CBOR or DAG-JSON block, in which links are `CID`s. Maps are objects whose keys are all their own;
 * ask with `Object.hasOwn`.
 * @throws MALFORMED_BLOCK, BLOCK_TOO_LARGE
 */
export function decodeValue(cid: CID, bytes: Uint8Array): unknown {
  checkBlockSize(cid, bytes.length)
  const risk = cid.code === DAG_CBOR ? cborRisk(bytes) : jsonRisk(bytes)
  if (risk !== undefined) throw malformed(cid, risk)
  try {
    return cid.code === DAG_CBOR ? dagCbor.decode(bytes) : dagJson.decode(bytes)
  } catch (cause) {
    throw malformed(cid, reasonOf(cause), cause)
  }
}

/** What a decoder's error says, short enough for a person: decoders quote what they could not read. */
export function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : 'it cannot be decoded'
  return message.length > 200 ? `${message.slice(0, 200)}…` : message
}
