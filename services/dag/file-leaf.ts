import { hash } from 'node:crypto'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { BufferImporter, BufferImporterResult } from 'ipfs-unixfs-importer'
import type { MultihashDigest } from 'multiformats'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { RAW, SHA2_256 } from '../core/cid.ts'
import type { Profile } from './profile.ts'

const NOTHING = new Uint8Array(0)

/** Where a leaf is put; when that resolves, the bytes are no longer needed. */
interface LeafSink {
  put: (cid: CID, bytes: Uint8Array) => unknown
}

/**
 * Writes a chunk of a file as a leaf: a raw block, or a DAG-PB block of CID version 0. Of the answer only `cid` and
 * `size` (bytes of the block) outlive the chunk, which may be overwritten then.
 */
export async function writeLeaf(chunk: Uint8Array, sink: LeafSink, profile: Profile): Promise<BufferImporterResult> {
  if (profile.rawLeaves) return { ...(await put(chunk, sink, (digest) => CID.createV1(RAW, digest))), block: NOTHING }
  const block = dagPb.encode({ Data: new UnixFS({ type: 'file', data: chunk }).marshal(), Links: [] })
  const unixfs = new UnixFS({ type: 'file', blockSizes: [BigInt(chunk.length)] })
  return { ...(await put(block, sink, (digest) => CID.createV0(digest))), unixfs, block: NOTHING }
}

async function put(
  block: Uint8Array,
  sink: LeafSink,
  cidOf: (digest: MultihashDigest<typeof SHA2_256>) => CID,
): Promise<{ cid: CID; size: bigint }> {
  const cid = cidOf(createDigest(SHA2_256, new Uint8Array(hash('sha256', block, 'buffer'))))
  await sink.put(cid, block)
  return { cid, size: BigInt(block.length) }
}

/**
 * {@link writeLeaf} in the shape of `ipfs-unixfs-importer`, whose own way answers each leaf with its bytes, and so keeps
 * all DAG-PB chunks of a node, 45 MB an upload, until the node is written.
 */
export function leafImporter(profile: Profile): BufferImporter {
  return async function* (file, blockstore) {
    for await (const chunk of file.content) yield () => writeLeaf(chunk, blockstore, profile)
  }
}
