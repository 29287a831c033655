import type { CID } from 'multiformats/cid'
import { RAW } from '../core/cid.ts'
import type { FileNode, SymlinkNode } from '../dag/node.ts'
import { readFile } from '../dag/read-file.ts'
import type { Answer, Body, Headers } from './answer.ts'
import { contentHeaders, presentation } from './headers.ts'
import { mediaTypeOf, namesMediaType, SNIFF_BYTES } from './media-type.ts'
import type { GatewayRequest } from './request.ts'
import type { Found } from './respond.ts'
import type { GatewayBlocks } from './source.ts'
import { answerContent } from './sized-content.ts'

/**
 * A file's bytes. A file in one block is answered from that block; of a larger one only the blocks of the wanted range
 * are read, and its first bytes too when its name does not tell what it is.
 * @param node what the block of `found.cid` says
 * @param as what the file is called, and whose tag it has, when it stands for something else: `index.html` for its directory
 * @throws RANGE_NOT_SATISFIABLE, MALFORMED_BLOCK, DAG_TOO_DEEP, BLOCK_MISSING
 */
export async function answerFile(
  request: GatewayRequest,
  found: Found,
  node: FileNode,
  as: { name: string | undefined; tag: CID } = { name: found.place.segments.at(-1), tag: found.cid },
): Promise<Answer> {
  const name = request.filename ?? as.name
  const head = namesMediaType(name) ? NO_BYTES : await headOf(found, node)
  return answerContent(request, fileHeaders(request, found, { ...as, head, sizeBytes: node.size }), {
    sizeBytes: node.size,
    read: (start, end) => {
      const bytes = bytesOf(found, node, start, end)
      return bytes instanceof Uint8Array ? bytes : givenBack(bytes, found.blocks)
    },
  })
}

const NO_BYTES = new Uint8Array(0)

/**
 * The answer to HEAD for a raw block on this node's disk whose name tells what it is: all that it says is known without
 * reading. Undefined for any other.
 */
export function answerUnread(request: GatewayRequest, found: Found): Answer | undefined {
  const { cid, blocks, place } = found
  const name = place.segments.at(-1)
  if (request.method !== 'HEAD' || cid.code !== RAW || !namesMediaType(request.filename ?? name)) return undefined
  const sizeBytes = blocks.sizeOf(cid)
  if (sizeBytes === undefined) return undefined
  const headers = fileHeaders(request, found, { name, tag: cid, head: NO_BYTES, sizeBytes })
  return answerContent(request, headers, { sizeBytes, read: () => NO_BYTES })
}

function fileHeaders(
  request: GatewayRequest,
  found: Found,
  file: { name: string | undefined; tag: CID; head: Uint8Array; sizeBytes: number },
): Headers {
  const { tag, head, sizeBytes } = file
  const name = request.filename ?? file.name
  const shownName = request.download ? (name ?? tag.toString()) : undefined
  return {
    ...contentHeaders(request, found, fileTag(tag)),
    ...presentation(request, mediaTypeOf(name, head, sizeBytes), { kind: 'inline', name: shownName }),
  }
}

/** A symlink is answered with where it points, and not followed: the target is text that anybody can have written. */
export function answerSymlink(request: GatewayRequest, found: Found, { target }: SymlinkNode): Answer {
  const headers = {
    ...contentHeaders(request, found, fileTag(found.cid)),
    ...presentation(request, 'inode/symlink', { kind: 'inline', name: undefined }),
  }
  return answerContent(request, headers, {
    sizeBytes: target.length,
    read: (start, end) => target.subarray(start, end),
  })
}

export function fileTag(cid: CID): string {
  return `"${cid.toString()}"`
}

function bytesOf({ cid, blocks, settings, signal }: Found, node: FileNode, start: number, end: number): Body {
  if (node.children.length === 0) return node.data.subarray(start, end)
  return readFile(cid, blocks, { offset: start, length: end - start, readahead: settings.readAheadBlocks, signal })
}

/** The pieces of raw blocks; each block's buffer is used again once the next piece is asked for. */
async function* givenBack(pieces: AsyncIterable<Uint8Array>, blocks: GatewayBlocks): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield piece
    blocks.giveBack(piece)
  }
}

async function headOf(found: Found, node: FileNode): Promise<Uint8Array> {
  const body = bytesOf(found, node, 0, Math.min(SNIFF_BYTES, node.size))
  if (body instanceof Uint8Array) return body
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}
