import { SECOND_MS } from '../core/units.ts'
import type { Answer, Headers } from './answer.ts'
import { contentDisposition } from './content-disposition.ts'
import { isActive } from './media-type.ts'
import type { GatewayRequest } from './request.ts'
import type { Found } from './respond.ts'
import { isIsolated } from './site.ts'

/** Content under a CID never changes. */
const IMMUTABLE = 'public, max-age=29030400, immutable'
/** A page that we make of a directory can look different next week. */
const GENERATED = 'public, max-age=604800, stale-while-revalidate=2678400'

/** Content is public and each of its origins isolated, so any page may read it. */
export const CORS: Readonly<Headers> = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers': 'Authorization, Content-Type, Range, User-Agent, X-Requested-With',
  'access-control-expose-headers':
    'Content-Range, Content-Length, ETag, X-Chunked-Output, X-Ens-Block, X-Ens-Name, X-Ens-Warning, X-Ipfs-Path, X-Ipfs-Roots, X-Stream-Output',
}

/** Sites of a path gateway share its origin; each is shut off in an origin of its own, in which scripts still run. */
const SANDBOX = 'sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts'

/** How long what was found may be kept: for ever under a CID, as long as its name's records say under a name. */
export function cacheControl(maxAgeMs: number | undefined, isGenerated = false): string {
  if (maxAgeMs === undefined) return isGenerated ? GENERATED : IMMUTABLE
  return `public, max-age=${Math.floor(maxAgeMs / SECOND_MS)}`
}

/** Headers of deserialized content and blocks alike: what it is, where it came from, how long it may be kept. */
export function contentHeaders(request: GatewayRequest, { path, place }: Found, etag: string): Headers {
  return {
    etag,
    'cache-control': cacheControl(place.maxAgeMs),
    'x-content-type-options': 'nosniff',
    'x-ipfs-path': headerText(request.rawPath),
    'x-ipfs-roots': path.join(','),
    ...ensHeaders(place),
    ...(request.formatByAccept ? { 'content-location': withFormat(request) } : {}),
  }
}

/** Which name of ENS led to the content, and at which block of the chain it did. */
function ensHeaders({ ens }: Found['place']): Headers {
  if (ens === undefined) return {}
  const name = encodeURIComponent(ens.name)
  return {
    'x-ens-name': name,
    'x-ens-block': ens.block.toString(),
    ...(ens.domain !== undefined && {
      'x-ens-warning': `The content of ${name} is what the DNS of ${ens.domain} says, not the chain.`,
    }),
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
  if (isActive(type) && !isIsolated(request.site)) headers['content-security-policy'] = SANDBOX
  return headers
}

/** Sends the client to another URL. One for ever (301) may be kept for an hour: what a host serves can change. */
export function redirectTo(status: 301 | 302 | 303 | 307 | 308, url: string): Answer {
  return {
    status,
    headers: {
      location: locationText(url),
      ...(status === 301 || status === 308 ? { 'cache-control': 'public, max-age=3600' } : {}),
      'content-length': '0',
      'x-content-type-options': 'nosniff',
    },
  }
}

/** A URL as `Location` has it. What begins with two slashes, or with what browsers take for them, would name a host. */
function locationText(url: string): string {
  const local = url.replace(/^[/\\]{2,}/, '/')
  return headerText(local)
    .replaceAll('\\', '%5C')
    .replaceAll(/%[0-9a-f]{2}/gi, (encoded) => encoded.toUpperCase())
}

/** The URL that gives the same answer whatever `Accept` says. */
function withFormat({ urlPath, rawQuery, format }: GatewayRequest): string {
  return headerText(`${urlPath}${rawQuery === '' ? '?' : `${rawQuery}&`}format=${format}`)
}

const PLAIN = /^[\u0021-\u007e]*$/

/** Bytes of a request line that a client did not encode are encoded before they become a header. */
export function headerText(text: string): string {
  if (PLAIN.test(text)) return text
  return text.replaceAll(
    /[^\u0021-\u007e]/g,
    (character) => `%${Buffer.from(character, 'latin1').toString('hex').toUpperCase()}`,
  )
}
