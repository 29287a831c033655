import type { CID } from 'multiformats/cid'
import type { BlockSource } from '../core/block-source.ts'
import { CBOR, DAG_CBOR, DAG_JSON, JSON_CODEC } from '../core/cid.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { unixfsNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { resolve } from '../dag/resolve.ts'
import type { Answer } from './answer.ts'
import { answerBlock, blockTag } from './block.ts'
import { answerCar } from './car.ts'
import { answerCodec } from './codec.ts'
import { answerDirectory } from './directory.ts'
import { noneMatchNames } from './etag.ts'
import { answerFile, answerSymlink, fileTag } from './file.ts'
import { IMMUTABLE } from './headers.ts'
import type { Destination, KnownPaths } from './known-paths.ts'
import type { GatewayRequest } from './request.ts'
import type { GatewaySettings } from './settings.ts'
import type { GatewaySource } from './source.ts'

/** What answering one request takes beside the request. */
export interface Reading {
  blocks: BlockSource
  paths: KnownPaths
  settings: GatewaySettings
  signal: AbortSignal
}

/** Content that a request's path led to. */
export interface Found extends Reading {
  cid: CID
  /** The root and what each segment led to; the last is `cid`. */
  path: readonly CID[]
}

/**
 * The answer to a read: conditional headers first, because they can spare all reads; then the path; then the format.
 * @throws NOT_FOUND, BLOCK_MISSING, NOT_CACHED, NOT_ACCEPTABLE, NOT_IMPLEMENTED, RANGE_NOT_SATISFIABLE, MALFORMED_BLOCK,
 *   DAG_TOO_DEEP, and what the source throws
 */
export async function respond(
  request: GatewayRequest,
  { source, ...reading }: Omit<Reading, 'blocks'> & { source: GatewaySource },
): Promise<Answer> {
  const known = notModifiedUnread(request)
  if (known !== undefined) return known
  const blocks = request.onlyIfCached ? source.local : source.of(request.path.root)
  try {
    const answer = await answerIn(request, { ...reading, blocks })
    const { etag } = answer.headers
    return etag !== undefined && noneMatchNames(request.ifNoneMatch, etag) ? notModified(answer) : answer
  } catch (error) {
    if (request.onlyIfCached && hasCode(error, 'BLOCK_MISSING')) throw notCached()
    throw error
  }
}

/** Tags of what lies directly under a CID follow from the CID. */
function notModifiedUnread({ path, format, ifNoneMatch }: GatewayRequest): Answer | undefined {
  if (ifNoneMatch === undefined || ifNoneMatch.trim() === '*' || path.segments.length > 0) return undefined
  if (format !== 'auto' && format !== 'raw') return undefined
  const etag = format === 'raw' ? blockTag(path.root) : fileTag(path.root)
  return noneMatchNames(ifNoneMatch, etag) ? notModified({ headers: { etag, 'cache-control': IMMUTABLE } }) : undefined
}

function notModified({ headers }: Pick<Answer, 'headers'>): Answer {
  const kept = ['etag', 'cache-control', 'content-location', 'x-ipfs-path', 'x-ipfs-roots']
  return { status: 304, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => kept.includes(name))) }
}

async function answerIn(request: GatewayRequest, reading: Reading): Promise<Answer> {
  const { root, segments } = request.path
  const { blocks, paths, signal } = reading
  const { format } = request
  if (format === 'car') {
    const { proof, ...destination } = await resolve(root, segments, blocks, { signal })
    return answerCar(request, { ...reading, ...wholeBlock(destination) }, proof)
  }
  const found = { ...reading, ...wholeBlock(await paths.follow(root, segments, blocks, { signal })) }
  if (format === 'raw') return answerBlock(request, found)
  if (format === 'ipns-record') {
    throw new HoldfastError('BAD_REQUEST', 'Only names have records; ask for one at /ipns/.')
  }
  if (format === 'tar') {
    throw new HoldfastError('NOT_IMPLEMENTED', 'This gateway does not make TAR archives; take format=car.')
  }
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
