import type { IncomingMessage } from 'node:http'
import { HoldfastError } from '../../core/errors.ts'
import { formatSize, SECOND_MS } from '../../core/units.ts'

/** A small document that is still not there after this is sent by somebody who ties up connections. */
const BODY_TIMEOUT_MS = 30 * SECOND_MS

/**
 * The JSON value in a request's body.
 * @throws UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE, REQUEST_TIMEOUT; BAD_REQUEST when it is no JSON or there is no body
 */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  requireType(request, /^application\/(?:[\w.-]+\+)?json$/i, 'application/json')
  const body = await readBody(request, maxBytes)
  if (body.length === 0) throw new HoldfastError('BAD_REQUEST', 'The request has no body; a JSON document is needed.')
  return parseJson(body)
}

/** @throws BAD_REQUEST when the bytes are no UTF-8 or no JSON */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new HoldfastError('BAD_REQUEST', 'The body is not valid JSON.', { cause })
  }
}

/** @throws UNSUPPORTED_MEDIA_TYPE when the body says it is of another type, or compressed; a body that says nothing passes */
export function requireType(request: IncomingMessage, allowed: RegExp, shown: string): void {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim() ?? ''
  if (type !== '' && !allowed.test(type)) {
    throw new HoldfastError('UNSUPPORTED_MEDIA_TYPE', `The body must be ${shown}, not ${type.slice(0, 100)}.`)
  }
  refuseCompressed(request)
}

/** Bodies are taken as they are: what a small compressed body grows to cannot be bounded by its length. */
export function refuseCompressed(request: IncomingMessage): void {
  const encoding = request.headers['content-encoding'] ?? 'identity'
  if (encoding.toLowerCase() !== 'identity') {
    throw new HoldfastError('UNSUPPORTED_MEDIA_TYPE', 'Send the body without a Content-Encoding.')
  }
}

/** Whether the request announces a body at all. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** The length that the client announces; undefined for a chunked body. */
export function announcedLength({ headers }: IncomingMessage): number | undefined {
  const text = headers['content-length']
  return text === undefined ? undefined : Number(text)
}

/** A body that is small enough to be held. @throws PAYLOAD_TOO_LARGE, REQUEST_TIMEOUT */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = new HoldfastError('PAYLOAD_TOO_LARGE', `The body may have at most ${formatSize(maxBytes)}.`)
  if ((announcedLength(request) ?? 0) > maxBytes) throw tooLarge
  const chunks: Buffer[] = []
  let length = 0
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const timer = setTimeout(() => {
    reject(new HoldfastError('REQUEST_TIMEOUT', 'The body did not arrive in time.'))
  }, BODY_TIMEOUT_MS)
  const onData = (chunk: Buffer): void => {
    length += chunk.length
    if (length > maxBytes) reject(tooLarge)
    else chunks.push(chunk)
  }
  const onEnd = (): void => resolve(Buffer.concat(chunks))
  request.on('data', onData).once('end', onEnd).once('error', reject)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    request.off('data', onData).off('end', onEnd).off('error', reject)
    request.pause()
  }
}
