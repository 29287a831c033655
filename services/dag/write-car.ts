import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import type { ManifestEntry } from '../core/block-source.ts'
import type { Block } from './fetch-dag.ts'
import { varintLength, writeVarint } from './varint.ts'

/** The header of a CARv1 with its length before it. */
export function carHeader(roots: readonly CID[]): Uint8Array {
  const header = dagCbor.encode({ version: 1, roots: [...roots] })
  const bytes = new Uint8Array(varintLength(header.length) + header.length)
  bytes.set(header, writeVarint(header.length, bytes, 0))
  return bytes
}

/** What stands before a block's bytes in a CAR: the section's length, then the CID. */
export function sectionHead({ cid, length }: ManifestEntry): Uint8Array {
  const sectionLength = cid.bytes.length + length
  const head = new Uint8Array(varintLength(sectionLength) + cid.bytes.length)
  head.set(cid.bytes, writeVarint(sectionLength, head, 0))
  return head
}

/** Bytes that the block takes in a CAR. */
function sectionSize({ cid, length }: ManifestEntry): number {
  return varintLength(cid.bytes.length + length) + cid.bytes.length + length
}

/** Bytes of the whole CAR: its `Content-Length`. */
export function carSize(roots: readonly CID[], entries: Iterable<ManifestEntry>): number {
  let size = carHeader(roots).length
  for (const entry of entries) size += sectionSize(entry)
  return size
}

/**
 * The CAR as it goes over the wire: a header, then head and bytes of each block in turn; blocks are not copied.
 */
export async function* writeCar(
  roots: readonly CID[],
  blocks: Iterable<Block> | AsyncIterable<Block>,
): AsyncGenerator<Uint8Array> {
  yield carHeader(roots)
  for await (const { cid, bytes } of blocks) {
    yield sectionHead({ cid, length: bytes.length })
    yield bytes
  }
}
