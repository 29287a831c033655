import { CBOR, DAG_CBOR, DAG_JSON, JSON_CODEC } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { decodeValue } from '../dag/decode-value.ts'
import { readBlock } from '../dag/read-block.ts'
import type { Answer } from './answer.ts'
import { dagPage } from './dag-page.ts'
import { MEDIA_TYPE_OF, type Format } from './format.ts'
import { cacheControl, contentHeaders, presentation } from './headers.ts'
import { PAGE_POLICY, PAGE_VERSION } from './page.ts'
import type { GatewayRequest } from './request.ts'
import type { Found } from './respond.ts'
import { answerContent } from './sized-content.ts'

type CodecFormat = 'dag-json' | 'dag-cbor' | 'json' | 'cbor'

/** Forms in which a block of a codec can be given out as it is, the native one first (IPIP-524: nothing is converted). */
const FORMATS_OF: ReadonlyMap<number, readonly CodecFormat[]> = new Map([
  [DAG_JSON, ['dag-json', 'json']],
  [DAG_CBOR, ['dag-cbor', 'cbor']],
  [JSON_CODEC, ['json']],
  [CBOR, ['cbor']],
] as const)

/**
 * A DAG-JSON, DAG-CBOR, JSON or CBOR block: its own bytes, or a page that shows it to a person.
 * @throws NOT_ACCEPTABLE when it is stored in another codec; MALFORMED_BLOCK when the bytes are not what the codec says
 */
export async function answerCodec(request: GatewayRequest, found: Found): Promise<Answer> {
  const { cid, blocks, signal } = found
  const format = formatFor(request.format, cid.code)
  const bytes = await readBlock(cid, blocks, { signal })
  const decoded = cid.code === DAG_CBOR || cid.code === DAG_JSON ? { value: decodeValue(cid, bytes) } : undefined
  if (request.format === 'html' && decoded !== undefined) return showDag(request, found, decoded.value)
  const extension = format.replace('dag-', '')
  const headers = {
    ...contentHeaders(request, found, `"${cid.toString()}.${format}"`),
    ...presentation(request, MEDIA_TYPE_OF[format], {
      kind: extension === 'json' ? 'inline' : 'attachment',
      name: `${cid.toString()}.${extension}`,
    }),
  }
  return answerContent(request, headers, {
    sizeBytes: bytes.length,
    read: (start, end) => bytes.subarray(start, end),
  })
}

function formatFor(asked: Format, codec: number): CodecFormat {
  const [native = 'dag-cbor', ...others] = FORMATS_OF.get(codec) ?? []
  if (asked === 'auto' || asked === 'html') return native
  const format = [native, ...others].find((candidate) => candidate === asked)
  if (format !== undefined) return format
  throw new HoldfastError('NOT_ACCEPTABLE', `The block is stored as ${native}, and is not converted to ${asked}.`)
}

function showDag(request: GatewayRequest, found: Found, value: unknown): Answer {
  const { cid, place } = found
  const body = Buffer.from(dagPage(cid, value))
  return {
    status: 200,
    headers: {
      ...contentHeaders(request, found, `"DagIndex-${PAGE_VERSION}_CID-${cid.toString()}"`),
      'cache-control': cacheControl(place.maxAgeMs, true),
      'content-type': 'text/html',
      'content-length': String(body.length),
      'content-security-policy': PAGE_POLICY,
    },
    body,
  }
}
