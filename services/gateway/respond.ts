import type { CID } from 'multiformats/cid'
import { CBOR, DAG_CBOR, DAG_JSON, JSON_CODEC } from '../core/cid.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { unixfsNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { resolve } from '../dag/resolve.ts'
import type { Answer } from './answer.ts'
import { answerBlock, blockTag } from './block.ts'
import { answerCar } from './car.ts'
import { answerCodec } from './codec.ts'
import { encodeSegments } from './content-path.ts'
import { answerDirectory } from './directory.ts'
import { noneMatchNames } from './etag.ts'
import { answerFile, answerSymlink, answerUnread, fileTag } from './file.ts'
import { contentHeaders, redirectTo } from './headers.ts'
import type { Destination, KnownPaths } from './known-paths.ts'
import { parseKey } from './name-text.ts'
import type { Names } from './names.ts'
import { placeOf, type Place } from './place.ts'
import { answerRecord } from './record.ts'
import { answerByRedirects } from './redirects.ts'
import type { GatewayRequest } from './request.ts'
import type { GatewaySettings } from './settings.ts'
import { isIsolated } from './site.ts'
import type { GatewayBlocks, GatewaySource } from './source.ts'
import { answerTar } from './tar.ts'

/** What answering takes beside the request. */
export interface ReadingOptions {
  paths: Pick<KnownPaths, 'follow'>
  names: Names
  settings: GatewaySettings
  signal: AbortSignal
}

/** What answering one request takes, once it is known where its content is. */
export interface Reading extends ReadingOptions {
  place: Place
  blocks: GatewayBlocks
}

/** Content that a request's path led to. */
export interface Found extends Reading {
  cid: CID
  /** The root and what each segment led to; the last is `cid`. */
  path: readonly CID[]
}

/**
 * The answer to a read. What the host class and the name allow comes first; then the path; then conditional headers,
 * because they can spare the reads of what it leads to; then the format.
 * @throws NOT_FOUND, BLOCK_MISSING, NOT_CACHED, NOT_ACCEPTABLE, NOT_IMPLEMENTED, RANGE_NOT_SATISFIABLE, MALFORMED_BLOCK,
 *   DAG_TOO_DEEP, and what names and the source throw
 */
export async function respond(
  request: GatewayRequest,
  { source, ...options }: ReadingOptions & { source: GatewaySource },
): Promise<Answer> {
  if (request.site.class === 'trustless') refuseDeserialized(request)
  const canonical = canonicalName(request)
  if (canonical !== undefined) return canonical
  if (request.format === 'ipns-record') return conditional(request, await answerRecord(request, options))
  const place = await placeOf(request, options)
  const blocks = request.onlyIfCached ? source.local : source.of(place.root)
  try {
    return conditional(request, await answerIn(request, { ...options, place, blocks }))
  } catch (error) {
    if (request.onlyIfCached && hasCode(error, 'BLOCK_MISSING')) throw notCached()
    throw error
  }
}

/** Content that a browser would run has no place on a host whose sites share one origin, and that proves nothing. */
function refuseDeserialized({ format, path }: GatewayRequest): void {
  if (format === 'raw' || format === 'car' || (format === 'ipns-record' && path.namespace === 'ipns')) return
  const message = 'This gateway is trustless: ask for format=raw, format=car, or format=ipns-record of a name.'
  throw new HoldfastError(format === 'auto' || format === 'html' ? 'BAD_REQUEST' : 'NOT_ACCEPTABLE', message)
}

/** A key written in another form is sent on to the one that fits a host name. */
function canonicalName({ path, site, rawPath, rawQuery }: GatewayRequest): Answer | undefined {
  if (path.namespace !== 'ipns' || site.kind !== 'path') return undefined
  const key = parseKey(path.root)
  if (key === undefined || key.text === path.root) return undefined
  const below = /^\/ipns\/[^/]*(.*)$/s.exec(rawPath)?.[1] ?? encodeSegments(path.segments)
  return redirectTo(302, `/ipns/${key.text}${below}${rawQuery}`)
}

function conditional(request: GatewayRequest, answer: Answer): Answer {
  const { etag } = answer.headers
  const isMatch = etag !== undefined && answer.status < 300 && noneMatchNames(request.ifNoneMatch, etag)
  return isMatch ? notModified(answer) : answer
}

/** Tags follow from the CID: who has the answer already is told so before its blocks are looked for. */
function notModifiedUnread(request: GatewayRequest, found: Found): Answer | undefined {
  const { ifNoneMatch } = request
  if (ifNoneMatch === undefined || ifNoneMatch.trim() === '*') return undefined
  const etag = tagsOf(request, found).find((tag) => noneMatchNames(ifNoneMatch, tag))
  return etag === undefined ? undefined : notModified({ headers: contentHeaders(request, found, etag) })
}

/** The tags that an answer can have whose form does not depend on what is in the block. */
function tagsOf({ format }: GatewayRequest, { cid }: Found): string[] {
  if (format === 'raw') return [blockTag(cid)]
  return format === 'auto' ? [fileTag(cid)] : []
}

const KEPT_HEADERS: ReadonlySet<string> = new Set([
  'etag',
  'cache-control',
  'content-location',
  'x-ipfs-path',
  'x-ipfs-roots',
])

function notModified({ headers }: Pick<Answer, 'headers'>): Answer {
  const kept = Object.entries(headers).filter(([name]) => KEPT_HEADERS.has(name) || name.startsWith('x-ens-'))
  return { status: 304, headers: Object.fromEntries(kept) }
}

async function answerIn(request: GatewayRequest, reading: Reading): Promise<Answer> {
  const { format } = request
  if (format === 'car') {
    const { root, segments } = reading.place
    const { proof, ...destination } = await resolve(root, segments, reading.blocks, { signal: reading.signal })
    return answerCar(request, { ...reading, ...wholeBlock(destination) }, proof)
  }
  if (!isIsolated(request.site) || (format !== 'auto' && format !== 'html')) {
    return answerPlace(request, reading)
  }
  try {
    return await answerPlace(request, reading)
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error
    const answer = await answerByRedirects(request, reading, (found) => answerFound(request, found))
    if (answer === undefined) throw error
    return answer
  }
}

async function answerPlace(request: GatewayRequest, reading: Reading): Promise<Answer> {
  const { place, blocks, paths, signal } = reading
  const destination = wholeBlock(await paths.follow(place.root, place.segments, blocks, { signal }))
  const found = { ...reading, ...destination }
  return notModifiedUnread(request, found) ?? (await answerFound(request, found))
}

function answerFound(request: GatewayRequest, found: Found): Promise<Answer> {
  if (request.format === 'raw') return answerBlock(request, found)
  if (request.format === 'tar') return answerTar(request, found)
  return CODEC_BLOCKS.has(found.cid.code) ? answerCodec(request, found) : answerUnixfs(request, found)
}

const CODEC_BLOCKS: ReadonlySet<number> = new Set([DAG_CBOR, DAG_JSON, CBOR, JSON_CODEC])

/** @throws NOT_IMPLEMENTED when the path leads to a field inside a block */
function wholeBlock({ cid, path, remainder }: Destination): Pick<Found, 'cid' | 'path'> {
  if (remainder.length === 0) return { cid, path }
  const field = JSON.stringify(remainder.join('/'))
  const message = `${field} is a field inside ${cid.toString()}; only whole blocks are served.`
  throw new HoldfastError('NOT_IMPLEMENTED', message)
}

async function answerUnixfs(request: GatewayRequest, found: Found): Promise<Answer> {
  const { cid, blocks, signal } = found
  const { format } = request
  if (format !== 'auto' && format !== 'html' && format !== 'json') throw notOffered(format, cid)
  const unread = answerUnread(request, found)
  if (unread !== undefined) return unread
  const node = unixfsNode(cid, await readBlock(cid, blocks, { signal }))
  switch (node.type) {
    case 'file':
      return answerFile(request, found, node)
    case 'symlink':
      return answerSymlink(request, found, node)
    case 'directory':
    case 'hamt':
      if (format === 'json') throw notOffered(format, cid)
      return answerDirectory(request, found)
    case 'links':
      break
  }
  const name = cid.toString()
  throw new HoldfastError('NOT_ACCEPTABLE', `${name} is DAG-PB without UnixFS; take format=raw or format=car.`)
}

function notOffered(format: string, cid: CID): HoldfastError {
  return new HoldfastError('NOT_ACCEPTABLE', `${cid.toString()} is not stored as ${format}, and is not converted.`)
}

function notCached(): HoldfastError {
  return new HoldfastError('NOT_CACHED', 'The content is not whole on this node, and only-if-cached was asked for.')
}
