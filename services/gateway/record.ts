import type { Abortable } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Answer } from './answer.ts'
import { fingerprint } from './etag.ts'
import { MEDIA_TYPE_OF } from './format.ts'
import { cacheControl, headerText, presentation } from './headers.ts'
import { parseKey } from './name-text.ts'
import type { Names } from './names.ts'
import type { GatewayRequest } from './request.ts'

/**
 * The signed record of a key, in the bytes in which it was published.
 * https://specs.ipfs.tech/http-gateways/trustless-gateway/#ipns-record-responses-application-vnd-ipfs-ipns-record
 * @throws BAD_REQUEST for content, for domains and for paths below a name: only keys have records
 */
export async function answerRecord(
  request: GatewayRequest,
  { names, signal }: { names: Names } & Abortable,
): Promise<Answer> {
  const { path } = request
  const key = path.namespace === 'ipns' && path.segments.length === 0 ? parseKey(path.root) : undefined
  if (key === undefined) {
    throw new HoldfastError('BAD_REQUEST', 'Only names have records; ask for one at /ipns/ and its key.')
  }
  const record = await names.record(key, signal === undefined ? {} : { signal })
  if (record === undefined) throw new HoldfastError('NOT_FOUND', `No record of ${key.text} is known.`)
  return {
    status: 200,
    headers: {
      etag: `"${fingerprint(Buffer.from(record.bytes).toString('base64'))}"`,
      'cache-control': cacheControl(record.maxAgeMs),
      'x-content-type-options': 'nosniff',
      'x-ipfs-path': headerText(request.rawPath),
      'content-length': String(record.bytes.length),
      ...presentation(request, MEDIA_TYPE_OF['ipns-record'], { kind: 'attachment', name: `${key.text}.ipns-record` }),
    },
    body: record.bytes,
  }
}
