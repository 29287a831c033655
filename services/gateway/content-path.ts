import type { CID } from 'multiformats/cid'
import { parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { RecentMap } from '../core/recent-map.ts'
import { parseDomain, parseEns, parseKey } from './name-text.ts'

/** What a content path names: a root, by CID or by name, and the way down from it. */
export type ContentPath = {
  /** Decoded, none of them empty, `.` or `..`. */
  segments: string[]
  trailingSlash: boolean
} & (
  | { namespace: 'ipfs'; root: CID }
  | { namespace: 'ipns'; root: string }
  /** Normalised. */
  | { namespace: 'ens'; root: string }
)

/**
 * Reads `/ipfs/{cid}[/segment…][/]`, `/ipns/{name}…` or `/ens/{name}…`, as it stands in the request line without the query.
 * Percent encoding is undone exactly once; an encoded slash separates as a plain one does, as in the gateways of
 * boxo. Dot segments are resolved by the text alone and cannot leave the root.
 * @throws NOT_FOUND when the path is of no known namespace; BAD_REQUEST for an encoding that is none, a NUL, too many
 *   segments or `..` above the root; INVALID_CID, HASH_NOT_ALLOWED, UNSUPPORTED_CODEC for the root
 */
export function parseContentPath(rawPath: string): ContentPath {
  const path = decodePath(rawPath)
  const [empty, namespace, root = '', ...rest] = path.split('/')
  if (empty !== '' || (namespace !== 'ipfs' && namespace !== 'ipns' && namespace !== 'ens')) {
    const message = 'Content is at /ipfs/ followed by its CID, or at /ipns/ or /ens/ followed by its name.'
    throw new HoldfastError('NOT_FOUND', message)
  }
  if (rest.length > MAX_PATH_SEGMENTS) {
    throw new HoldfastError('BAD_REQUEST', `A path may have at most ${MAX_PATH_SEGMENTS} segments.`)
  }
  const below = { segments: withoutDots(rest), trailingSlash: path.endsWith('/') || /\/\.\.?$/.test(path) }
  if (namespace === 'ipfs') return { namespace, root: parseRoot(root, path), ...below }
  return { namespace, root: namespace === 'ens' ? parseEnsRoot(root, path) : parseName(root, path), ...below }
}

/** The failure of a path whose root cannot be read; it shows the path as it was asked for. */
export function invalidPath(path: string, cause: unknown): HoldfastError {
  const shown = path.length > 256 ? `${path.slice(0, 256)}…` : path
  const code = cause instanceof HoldfastError ? cause.code : 'BAD_REQUEST'
  return new HoldfastError(code, `invalid path ${JSON.stringify(shown)}: ${(cause as Error).message}`, { cause })
}

/** Segments as they stand in a URL's path, each after its slash. */
export function encodeSegments(segments: readonly string[]): string {
  return segments.map((segment) => `/${encodeURIComponent(segment.toWellFormed())}`).join('')
}

/** @throws BAD_REQUEST for an encoding that is none, and for a NUL */
export function decodePath(rawPath: string): string {
  let path: string
  try {
    const text = asUnicode(rawPath)
    path = text.includes('%') ? decodeURIComponent(text) : text
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

/** The latest roots by their texts: decoding one takes a tenth of the time of a whole answer. */
const knownRoots = new RecentMap<string, CID>(2_000)

function parseRoot(text: string, path: string): CID {
  const known = knownRoots.get(text)
  if (known !== undefined) return known
  try {
    const root = parseCid(text)
    knownRoots.set(text, root)
    return root
  } catch (cause) {
    throw invalidPath(path, cause)
  }
}

function parseName(text: string, path: string): string {
  if (parseKey(text) !== undefined || parseDomain(text) !== undefined) return text
  throw invalidPath(path, new HoldfastError('BAD_REQUEST', 'it names neither a key nor a domain.'))
}

function parseEnsRoot(text: string, path: string): string {
  const name = parseEns(text)
  if (name !== undefined) return name
  throw invalidPath(path, new HoldfastError('BAD_REQUEST', 'it is not a name of ENS.'))
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
