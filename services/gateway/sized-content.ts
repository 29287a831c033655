import { randomUUID } from 'node:crypto'
import type { Answer, Body, Headers } from './answer.ts'
import { parseRanges, type ByteRange } from './byte-ranges.ts'
import { ifRangeHolds, noneMatchNames } from './etag.ts'
import type { GatewayRequest } from './request.ts'

/** Bytes of known number, any part of which can be read: a file, a block. */
export interface SizedContent {
  sizeBytes: number
  /** Bytes [start, end). Nothing is read before the body is. */
  read(start: number, end: number): Body
}

/**
 * The whole, one range (206), or several as `multipart/byteranges`, as the request asks.
 * @param headers all but those about length and ranges
 * @throws RANGE_NOT_SATISFIABLE
 */
export function answerContent(request: GatewayRequest, headers: Headers, content: SizedContent): Answer {
  const { sizeBytes } = content
  const ranges = parseRanges(heldRange(request, headers['etag'] ?? ''), sizeBytes)
  const common = { ...headers, 'accept-ranges': 'bytes' }
  const [range] = ranges ?? []
  if (range === undefined || ranges === undefined) {
    return {
      status: 200,
      headers: { ...common, 'content-length': String(sizeBytes) },
      body: content.read(0, sizeBytes),
    }
  }
  if (ranges.length > 1) return answerParts(common, content, ranges)
  return {
    status: 206,
    headers: {
      ...common,
      'content-length': String(range.end - range.start),
      'content-range': contentRange(range, sizeBytes),
    },
    body: content.read(range.start, range.end),
  }
}

/** The `Range` header, unless a condition before it decides (RFC 9110, section 13.2.2). */
function heldRange({ range, ifRange, ifNoneMatch }: GatewayRequest, etag: string): string | undefined {
  return ifRangeHolds(ifRange, etag) && !noneMatchNames(ifNoneMatch, etag) ? range : undefined
}

function answerParts(headers: Headers, content: SizedContent, ranges: readonly ByteRange[]): Answer {
  const boundary = randomUUID()
  const type = headers['content-type'] ?? 'application/octet-stream'
  const parts = ranges.map((range, index) => ({
    range,
    head: Buffer.from(
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${type}\r\n` +
        `Content-Range: ${contentRange(range, content.sizeBytes)}\r\n\r\n`,
    ),
  }))
  const end = Buffer.from(`\r\n--${boundary}--\r\n`)
  const length = parts.reduce((sum, { range, head }) => sum + head.length + range.end - range.start, end.length)
  return {
    status: 206,
    headers: {
      ...headers,
      'content-type': `multipart/byteranges; boundary=${boundary}`,
      'content-length': String(length),
    },
    body: multipart(content, parts, end),
  }
}

async function* multipart(
  content: SizedContent,
  parts: readonly { range: ByteRange; head: Buffer }[],
  end: Buffer,
): AsyncGenerator<Uint8Array> {
  for (const { range, head } of parts) {
    yield head
    const body = content.read(range.start, range.end)
    if (body instanceof Uint8Array) yield body
    else yield* body
  }
  yield end
}

function contentRange({ start, end }: ByteRange, sizeBytes: number): string {
  return `bytes ${start}-${end - 1}/${sizeBytes}`
}
