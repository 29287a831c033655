import type { CID } from 'multiformats/cid'
import { parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'

/** What a URL path names: a root and the way down from it. */
export interface ContentPath {
  namespace: 'ipfs'
  root: CID
  /** Decoded, none of them empty, `.` or `..`. */
  segments: string[]
  trailingSlash: boolean
}

/**
 * Reads `/ipfs/{cid}[/segment…][/]`, as it stands in the request line without the query.
 * Percent encoding is undone exactly once; an encoded slash separates as a plain one does, as in the gateways of
 * boxo. Dot segments are resolved by the text alone and cannot leave the root.
 * @throws NOT_FOUND when the path is of no known namespace; BAD_REQUEST for an encoding that is none, a NUL, too many
 *   segments or `..` above the root; INVALID_CID, HASH_NOT_ALLOWED, UNSUPPORTED_CODEC for the root
 */
export function parseContentPath(rawPath: string): ContentPath {
  const path = decodeOnce(rawPath)
  const [empty, namespace, root, ...rest] = path.split('/')
  if (empty !== '' || namespace !== 'ipfs') {
    throw new HoldfastError('NOT_FOUND', 'Content is at /ipfs/ followed by its CID.')
  }
  if (rest.length > MAX_PATH_SEGMENTS) {
    throw new HoldfastError('BAD_REQUEST', `A path may have at most ${MAX_PATH_SEGMENTS} segments.`)
  }
  return {
    namespace,
    root: parseRoot(root ?? '', path),
    segments: withoutDots(rest),
    trailingSlash: path.endsWith('/') || /\/\.\.?$/.test(path),
  }
}

/** The URL path that leads to the segments below a root, percent-encoded, without a slash at the end. */
export function encodeContentPath(root: string, segments: readonly string[]): string {
  return ['/ipfs', root, ...segments.map(encodeURIComponent)].join('/')
}

function decodeOnce(rawPath: string): string {
  let path: string
  try {
    path = decodeURIComponent(asUnicode(rawPath))
  } catch (cause) {
    throw new HoldfastError('BAD_REQUEST', 'The path is not valid percent-encoded UTF-8.', { cause })
  }
  if (path.includes('\0')) throw new HoldfastError('BAD_REQUEST', 'A path may not contain a NUL.')
  return path
}

/** HTTP hands bytes over as Latin-1; some clients send UTF-8 without encoding it. */
function asUnicode(rawPath: string): string {
  if (!/[\u0080-\u00ff]/.test(rawPath)) return rawPath
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(rawPath, 'latin1'))
}

function parseRoot(text: string, path: string): CID {
  try {
    return parseCid(text)
  } catch (cause) {
    if (!(cause instanceof HoldfastError)) throw cause
    const shown = path.length > 256 ? `${path.slice(0, 256)}…` : path
    throw new HoldfastError(cause.code, `invalid path ${JSON.stringify(shown)}: ${cause.message}`, { cause })
  }
}

function withoutDots(segments: readonly string[]): string[] {
  const kept: string[] = []
  for (const segment of segments) {
    if (segment === '' || segment === '.') continue
    if (segment !== '..') kept.push(segment)
    else if (kept.pop() === undefined) throw new HoldfastError('BAD_REQUEST', 'The path leaves its root.')
  }
  return kept
}
