import type { CID } from 'multiformats/cid'
import { readBlock } from '../dag/read-block.ts'
import type { Answer } from './answer.ts'
import { MEDIA_TYPE_OF } from './format.ts'
import { contentHeaders, presentation } from './headers.ts'
import type { GatewayRequest } from './request.ts'
import type { Found } from './respond.ts'
import { answerContent } from './sized-content.ts'

const NO_BYTES = new Uint8Array(0)

/**
 * A block as it is stored (`application/vnd.ipld.raw`). For HEAD the index of this node's disk is enough.
 * https://specs.ipfs.tech/http-gateways/trustless-gateway/#block-responses-application-vnd-ipld-raw
 */
export async function answerBlock(request: GatewayRequest, found: Found): Promise<Answer> {
  const { cid, blocks, signal } = found
  const unreadBytes = request.method === 'HEAD' ? blocks.sizeOf(cid) : undefined
  const bytes = unreadBytes === undefined ? await readBlock(cid, blocks, { signal }) : NO_BYTES
  const headers = {
    ...contentHeaders(request, found, blockTag(cid)),
    ...presentation(request, MEDIA_TYPE_OF.raw, { kind: 'attachment', name: `${cid.toString()}.bin` }),
  }
  return answerContent(request, headers, {
    sizeBytes: unreadBytes ?? bytes.length,
    read: (start, end) => bytes.subarray(start, end),
  })
}

export function blockTag(cid: CID): string {
  return `"${cid.toString()}.raw"`
}
