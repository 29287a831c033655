import type { CID } from 'multiformats/cid'
import type { Answer, Headers } from './answer.ts'
import { contentDisposition } from './content-disposition.ts'
import { isActive } from './media-type.ts'
import type { GatewayRequest } from './request.ts'

/** Content under a CID never changes. */
export const IMMUTABLE = 'public, max-age=29030400, immutable'
/** A page that we make of a directory can look different next week. */
export const GENERATED = 'public, max-age=604800, stale-while-revalidate=2678400'

/** Content is public and each of its origins isolated, so any page may read it. */
export const CORS: Readonly<Headers> = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers': 'Content-Type, Range, User-Agent, X-Requested-With',
  'access-control-expose-headers':
    'Content-Range, Content-Length, ETag, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, X-Stream-Output',
}

/** Sites of a path gateway share its origin; each is shut off in an origin of its own, in which scripts still run. */
const ISOLATED = 'sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts'

/**
 * Headers of deserialized content and blocks alike: what it is, where it came from, how long it may be kept.
 * @param roots CIDs of the path's segments, the root first and the content itself last
 */
export function contentHeaders(request: GatewayRequest, roots: readonly CID[], etag: string): Headers {
  return {
    etag,
    'cache-control': IMMUTABLE,
    'x-content-type-options': 'nosniff',
    'x-ipfs-path': headerText(request.rawPath),
    'x-ipfs-roots': roots.join(','),
    ...(request.formatByAccept ? { 'content-location': withFormat(request) } : {}),
  }
}

/** The type of content, and how a browser is to treat it: shown in isolation or saved under a name. */
export function presentation(
  request: GatewayRequest,
  type: string,
  fallback: { kind: 'inline' | 'attachment'; name: string | undefined },
): Headers {
  const kind = request.download ? 'attachment' : fallback.kind
  const name = request.filename ?? fallback.name
  const headers: Headers = { 'content-type': type }
  if (name !== undefined) headers['content-disposition'] = contentDisposition(kind, name)
  else if (kind === 'attachment') headers['content-disposition'] = kind
  if (isActive(type)) headers['content-security-policy'] = ISOLATED
  return headers
}

/** Sends the client to another path of this gateway, for ever. */
export function redirectTo(rawPath: string, rawQuery: string): Answer {
  const location = headerText(rawPath + rawQuery).replaceAll(/%[0-9a-f]{2}/gi, (encoded) => encoded.toUpperCase())
  return {
    status: 301,
    headers: { location, 'cache-control': IMMUTABLE, 'content-length': '0', 'x-content-type-options': 'nosniff' },
  }
}

/** The URL that gives the same answer whatever `Accept` says. */
function withFormat({ rawPath, rawQuery, format }: GatewayRequest): string {
  return headerText(`${rawPath}${rawQuery === '' ? '?' : `${rawQuery}&`}format=${format}`)
}

/** Bytes of a request line that a client did not encode are encoded before they become a header. */
function headerText(text: string): string {
  return text.replaceAll(
    /[^\u0021-\u007e]/g,
    (character) => `%${Buffer.from(character, 'latin1').toString('hex').toUpperCase()}`,
  )
}
