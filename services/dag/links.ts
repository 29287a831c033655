import * as dagPb from '@ipld/dag-pb'
import type { PBNode } from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { DAG_CBOR, DAG_JSON, DAG_PB } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { decodeValue, reasonOf } from './decode-value.ts'
import { ownCid } from './own-cid.ts'
import { checkBlockSize, isLinkless, malformed } from './read-block.ts'

/**
 * The CIDs that a block links to, in their order, with repetitions. The CIDs are not checked, and do not hold on
 * to the block.
 * @throws MALFORMED_BLOCK, BLOCK_TOO_LARGE, UNSUPPORTED_CODEC
 */
export function linksOf(cid: CID, bytes: Uint8Array): CID[] {
  if (isLinkless(cid.code)) return []
  if (cid.code === DAG_PB) return decodeDagPb(cid, bytes).Links.map((link) => ownCid(link.Hash))
  if (cid.code === DAG_CBOR || cid.code === DAG_JSON) return linksIn(decodeValue(cid, bytes))
  throw new HoldfastError('UNSUPPORTED_CODEC', `The codec 0x${cid.code.toString(16)} is not supported.`)
}

/** @throws MALFORMED_BLOCK, BLOCK_TOO_LARGE */
export function decodeDagPb(cid: CID, bytes: Uint8Array): PBNode {
  checkBlockSize(cid, bytes.length)
  try {
    return dagPb.decode(bytes)
  } catch (cause) {
    throw malformed(cid, reasonOf(cause), cause)
  }
}

function linksIn(root: unknown): CID[] {
  const links: CID[] = []
  const stack: unknown[] = [root]
  while (stack.length > 0) {
    const value = stack.pop()
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) continue
    // Not `CID.asCID`: it takes a map with the keys `/` and `bytes` for a CID when both hold the same.
    if (value instanceof CID) links.push(ownCid(value))
    else pushReversed(Array.isArray(value) ? value : Object.values(value), stack)
  }
  return links
}

function pushReversed(values: readonly unknown[], stack: unknown[]): void {
  for (let index = values.length - 1; index >= 0; index--) stack.push(values[index])
}
