import type { IncomingMessage } from 'node:http'
import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { decodeCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { IpnsName } from '../naming/ipns-name.ts'
import { MAX_RECORD_BYTES } from '../naming/ipns-record.ts'
import type { Answer, Headers } from './answer.ts'
import { decodePath } from './content-path.ts'
import { fingerprint, noneMatchNames } from './etag.ts'
import { MEDIA_TYPE_OF } from './format.ts'
import type { Location } from './locate.ts'
import { parseKey } from './name-text.ts'
import type { Names } from './names.ts'
import { filterPeers, type PeerRecord } from './peer-filters.ts'

/** Whom a gateway names when it is asked who has content. */
export interface Routing {
  /** Peers that have the block, this node's own first. */
  providers(cid: CID, options: Abortable): Promise<PeerRecord[]>
  /** What is known of a peer. */
  peers(id: IpnsName, options: Abortable): Promise<PeerRecord[]>
}

export interface RoutingOptions {
  routing: Routing
  names: Names
  signal: AbortSignal
}

export const ROUTING_PATH = '/routing/v1/'
export const ROUTING_CORS: Headers = { 'access-control-allow-methods': 'GET, PUT, OPTIONS' }

const IPNS_RECORD = MEDIA_TYPE_OF['ipns-record']
const NDJSON = 'application/x-ndjson'
/** "Up to 100 records" go into an answer that is not a stream. */
const MAX_RECORDS = 100

/**
 * The delegated routing server, by which light clients find providers, peers and records over HTTP.
 * https://specs.ipfs.tech/routing/http-routing-v1/
 * @throws NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, BAD_REQUEST, UNPROCESSABLE for what is no CID or peer
 */
export async function answerRouting(
  request: IncomingMessage,
  { urlPath, rawQuery }: Location,
  options: RoutingOptions,
): Promise<Answer> {
  const [kind, id = '', ...more] = decodePath(urlPath.slice(ROUTING_PATH.length)).split('/')
  if (more.length > 0 || id === '') throw notThere()
  const { method } = request
  if (kind === 'ipns') return await answerIpns(request, id, options)
  if (kind !== 'providers' && kind !== 'peers') throw notThere()
  if (method !== 'GET' && method !== 'HEAD') throw new HoldfastError('METHOD_NOT_ALLOWED', 'Only GET is possible here.')
  const { routing, signal } = options
  const found =
    kind === 'providers'
      ? await routing.providers(readCid(id), { signal })
      : await routing.peers(readPeer(id), { signal })
  const peers = filterPeers(found, new URLSearchParams(rawQuery))
  return peerAnswer(kind === 'providers' ? 'Providers' : 'Peers', peers, request.headers.accept)
}

function peerAnswer(key: 'Providers' | 'Peers', peers: readonly PeerRecord[], accept: string | undefined): Answer {
  const records = peers.map(({ id, addresses, protocols }) => ({
    Schema: 'peer',
    ID: id,
    Addrs: addresses,
    Protocols: protocols,
  }))
  const isStream = accept?.includes(NDJSON) ?? false
  const text = isStream
    ? records.map((record) => `${JSON.stringify(record)}\n`).join('')
    : JSON.stringify({ [key]: records.slice(0, MAX_RECORDS) })
  const body = Buffer.from(text)
  return {
    status: 200,
    headers: {
      ...ROUTING_CORS,
      'content-type': isStream ? NDJSON : 'application/json',
      'content-length': String(body.length),
      'cache-control': `public, max-age=${peers.length === 0 ? 15 : 300}, stale-while-revalidate=172800, stale-if-error=172800`,
      'x-content-type-options': 'nosniff',
    },
    body,
  }
}

async function answerIpns(request: IncomingMessage, id: string, options: RoutingOptions): Promise<Answer> {
  const { method } = request
  if (method === 'PUT') return await takeRecord(request, id, options)
  if (method === 'GET' || method === 'HEAD') return await giveRecord(request, id, options)
  throw new HoldfastError('METHOD_NOT_ALLOWED', 'Only GET and PUT are possible here.')
}

async function giveRecord(request: IncomingMessage, id: string, { names, signal }: RoutingOptions): Promise<Answer> {
  const { accept, 'cache-control': cached = '' } = request.headers
  if (accept !== undefined && !accept.includes('*/*') && !accept.includes(IPNS_RECORD)) {
    throw new HoldfastError('NOT_ACCEPTABLE', `A record is given as ${IPNS_RECORD} alone.`)
  }
  const record = await names.record(readName(id), {
    signal,
    isLocal: cached.includes('only-if-cached'),
    isRevalidated: cached.includes('no-cache'),
  })
  if (record === undefined) throw new HoldfastError('NOT_FOUND', 'No record of this name is known.')
  const { bytes, maxAgeMs, validMs } = record
  const etag = `"${fingerprint(Buffer.from(bytes).toString('base64'))}"`
  const stale = Math.floor(validMs / SECOND_MS)
  const headers = {
    ...ROUTING_CORS,
    etag,
    'cache-control': `public, max-age=${Math.floor(maxAgeMs / SECOND_MS)}, stale-while-revalidate=${stale}, stale-if-error=${stale}`,
    'x-content-type-options': 'nosniff',
  }
  if (noneMatchNames(request.headers['if-none-match'], etag)) return { status: 304, headers }
  return {
    status: 200,
    headers: { ...headers, 'content-type': IPNS_RECORD, 'content-length': String(bytes.length) },
    body: bytes,
  }
}

async function takeRecord(request: IncomingMessage, id: string, { names, signal }: RoutingOptions): Promise<Answer> {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== undefined && type !== IPNS_RECORD && type !== 'application/octet-stream') {
    throw new HoldfastError('NOT_ACCEPTABLE', `A record is sent as ${IPNS_RECORD}.`)
  }
  const name = readName(id)
  await names.publish(name, await bodyOf(request, signal), { signal })
  return { status: 200, headers: { ...ROUTING_CORS, 'content-length': '0', 'cache-control': 'no-store' } }
}

async function bodyOf(request: IncomingMessage, signal: AbortSignal): Promise<Uint8Array> {
  const pieces: Buffer[] = []
  let length = 0
  // The rest of a body that is refused is for whoever answers.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    signal.throwIfAborted()
    length += piece.length
    if (length > MAX_RECORD_BYTES) {
      throw new HoldfastError('BAD_REQUEST', `A record has at most ${MAX_RECORD_BYTES} bytes.`)
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function readCid(text: string): CID {
  try {
    return decodeCid(text)
  } catch (cause) {
    throw new HoldfastError('UNPROCESSABLE', `${JSON.stringify(text.slice(0, 64))} is not a CID.`, { cause })
  }
}

function readPeer(text: string): IpnsName {
  const id = parseKey(text)
  if (id !== undefined) return id
  throw new HoldfastError('UNPROCESSABLE', `${JSON.stringify(text.slice(0, 64))} is not a peer id.`)
}

function readName(text: string): IpnsName {
  const name = parseKey(text)
  if (name !== undefined) return name
  throw new HoldfastError('BAD_REQUEST', `${JSON.stringify(text.slice(0, 64))} is not an IPNS name.`)
}

function notThere(): HoldfastError {
  return new HoldfastError('NOT_FOUND', 'Routing answers for providers, peers and ipns.')
}
