import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_CID_TEXT } from '../core/limits.ts'
import { SECOND_MS } from '../core/units.ts'
import { writeCar } from '../dag/write-car.ts'
import { readOrigins } from '../swarm/origins.ts'
import type { Peer } from '../swarm/peer.ts'
import type { Providing } from '../swarm/providing.ts'
import { retrieve, retrieveBlock } from '../swarm/retrieve.ts'
import type { TopicValue } from '../swarm/topic-news.ts'
import type { Topics } from '../swarm/topics.ts'
import { findValues, putValue } from '../swarm/values.ts'
import {
  CAR_TYPE,
  FETCH_ID_HEADER,
  MAX_VALUE_BYTES,
  NDJSON_TYPE,
  type ConnectAnswer,
  type FailureAnswer,
  type FoundValue,
  type PeerStatus,
  type PutValueAnswer,
  type TopicNewsLine,
} from '../swarm/wire.ts'
import { failureOf } from './failure.ts'
import type { FetchFailures } from './fetch-failures.ts'
import { readJson } from './read-json.ts'

export interface Exchange {
  request: IncomingMessage
  response: ServerResponse
  url: URL
  /** Parts of the path that the route leaves open. */
  params: string[]
  /** Aborts when the caller has gone. */
  signal: AbortSignal
}

export interface Parts {
  peer: Peer
  providing: Providing
  failures: FetchFailures
}

type Answer = (parts: Parts, exchange: Exchange) => Promise<void>

export interface Route {
  method: string
  path: RegExp
  answer: Answer
}

const cidText = z.string().max(MAX_CID_TEXT)
const address = z.string().max(1_024)
const fetchBody = z.object({
  root: cidText,
  origins: z.array(address).max(1_000).optional(),
  maxBytes: z.int().nonnegative().optional(),
  maxBlocks: z.int().nonnegative().optional(),
  stallMs: z.int().positive().optional(),
})
const provideBody = z.object({ roots: z.array(cidText).max(10_000) })
const connectBody = z.object({ addresses: z.array(address).max(1_000) })
const valueBody = z.object({ value: z.base64().max(2 * MAX_VALUE_BYTES) })
const CONNECT_TIMEOUT_MS = 10 * SECOND_MS
const DEFAULT_BLOCK_TIMEOUT_MS = 30 * SECOND_MS

export const ROUTES: Route[] = [
  { method: 'GET', path: /^\/status$/, answer: status },
  { method: 'POST', path: /^\/fetch$/, answer: fetchDag },
  { method: 'GET', path: /^\/fetch\/([0-9a-f-]{36})\/failure$/, answer: fetchFailure },
  { method: 'GET', path: /^\/block\/([A-Za-z0-9]+)$/, answer: block },
  { method: 'POST', path: /^\/provide$/, answer: provide },
  { method: 'GET', path: /^\/values\/([A-Za-z0-9_-]{1,256})$/, answer: giveValues },
  { method: 'POST', path: /^\/values\/([A-Za-z0-9_-]{1,256})$/, answer: takeValue },
  { method: 'GET', path: /^\/topics\/([A-Za-z0-9_-]{1,256})$/, answer: giveTopicValues },
  { method: 'POST', path: /^\/topics\/([A-Za-z0-9_-]{1,256})$/, answer: publishValue },
  { method: 'GET', path: /^\/topics$/, answer: giveNews },
  { method: 'POST', path: /^\/connect$/, answer: connect },
]

async function status({ peer, providing }: Parts, { response }: Exchange): Promise<void> {
  const answer: PeerStatus = {
    peerId: peer.id.toString(),
    multiaddrs: peer.libp2p.getMultiaddrs().map(String),
    connections: peer.libp2p.getConnections().length,
    dhtPeers: peer.libp2p.services.dht.routingTable.size,
    topics: peer.topics?.size ?? 0,
    providing: providing.figures(),
  }
  sendJson(response, 200, answer)
}

/** The first block decides between a JSON failure and a stream; a stream that fails later is cut off. */
async function fetchDag({ peer, failures }: Parts, { request, response, signal }: Exchange): Promise<void> {
  const { root: text, ...options } = defined(fetchBody.parse(await readJson(request)))
  const root = parseCid(text)
  const id = failures.newId()
  const blocks = retrieve(peer, root, { ...options, signal })
  const first = await blocks.next()
  response.writeHead(200, { 'content-type': CAR_TYPE, [FETCH_ID_HEADER]: id })
  response.flushHeaders()
  try {
    await pipeline(Readable.from(writeCar([root], chain(first, blocks))), response)
  } catch (error) {
    failures.remember(id, error)
    throw error
  }
}

async function* chain<T>(first: IteratorResult<T, void>, rest: AsyncGenerator<T, void>): AsyncGenerator<T> {
  if (first.done === true) return
  yield first.value
  yield* rest
}

async function fetchFailure({ failures }: Parts, { response, params }: Exchange): Promise<void> {
  const failure = failures.of(params[0] ?? '')
  if (failure === undefined) throw new HoldfastError('NOT_FOUND', 'No fetch with this id has failed.')
  const { reason, details } = failureOf(failure)
  const answer: FailureAnswer = { error: { reason, details } }
  sendJson(response, 200, answer)
}

async function block({ peer }: Parts, { response, url, params, signal }: Exchange): Promise<void> {
  const cid = parseCid(params[0] ?? '')
  const timeoutMs = Number(url.searchParams.get('timeoutMs') ?? DEFAULT_BLOCK_TIMEOUT_MS)
  if (!Number.isInteger(timeoutMs) || timeoutMs <= 0)
    throw new HoldfastError('BAD_REQUEST', 'timeoutMs is no duration.')
  const bytes = await retrieveBlock(peer, cid, { signal, stallMs: timeoutMs })
  response.writeHead(200, { 'content-type': 'application/vnd.ipld.raw', 'content-length': bytes.length })
  response.end(bytes)
}

async function provide({ peer, providing }: Parts, { request, response }: Exchange): Promise<void> {
  const { roots } = provideBody.parse(await readJson(request))
  providing.provide(roots.map(parseCid))
  void peer.serving.lookAgain()
  response.writeHead(202).end()
}

async function giveValues({ peer }: Parts, exchange: Exchange): Promise<void> {
  await sendValues(findValues(peer, keyIn(exchange.params), exchange), exchange)
}

async function giveTopicValues({ peer }: Parts, exchange: Exchange): Promise<void> {
  await sendValues(topicsOf(peer).find(keyIn(exchange.params), exchange), exchange)
}

async function sendValues(values: AsyncGenerator<Uint8Array, void>, { response }: Exchange): Promise<void> {
  // A failure before the first value is still said as one.
  const first = await values.next()
  response.writeHead(200, { 'content-type': NDJSON_TYPE })
  await pipeline(Readable.from(valueLines(chain(first, values))), response)
}

async function* valueLines(values: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  for await (const value of values) {
    const line: FoundValue = { value: Buffer.from(value).toString('base64') }
    yield `${JSON.stringify(line)}\n`
  }
}

async function takeValue({ peer }: Parts, exchange: Exchange): Promise<void> {
  const { request, response, params, signal } = exchange
  const answer: PutValueAnswer = { peers: await putValue(peer, keyIn(params), await valueIn(request), { signal }) }
  sendJson(response, 200, answer)
}

async function publishValue({ peer }: Parts, exchange: Exchange): Promise<void> {
  const { request, response, params, signal } = exchange
  const topics = topicsOf(peer)
  const answer: PutValueAnswer = { peers: await topics.publish(keyIn(params), await valueIn(request), { signal }) }
  sendJson(response, 200, answer)
}

async function giveNews({ peer }: Parts, { response, signal }: Exchange): Promise<void> {
  const news = topicsOf(peer).hear({ signal })
  response.writeHead(200, { 'content-type': NDJSON_TYPE })
  response.flushHeaders()
  await pipeline(Readable.from(newsLines(news)), response)
}

async function* newsLines(news: AsyncIterable<TopicValue>): AsyncGenerator<string, void> {
  for await (const { key, value } of news) {
    const line: TopicNewsLine = {
      key: Buffer.from(key).toString('base64url'),
      value: Buffer.from(value).toString('base64'),
    }
    yield `${JSON.stringify(line)}\n`
  }
}

/** @throws NOT_IMPLEMENTED */
function topicsOf({ topics }: Peer): Topics {
  if (topics === undefined) throw new HoldfastError('NOT_IMPLEMENTED', 'PubSub is switched off (HOLDFAST_PUBSUB).')
  return topics
}

async function valueIn(request: IncomingMessage): Promise<Uint8Array> {
  return Buffer.from(valueBody.parse(await readJson(request)).value, 'base64')
}

function keyIn([key = '']: readonly string[]): Uint8Array {
  return Buffer.from(key, 'base64url')
}

async function connect({ peer }: Parts, { request, response, signal }: Exchange): Promise<void> {
  const { addresses } = connectBody.parse(await readJson(request))
  const { origins, ignored } = readOrigins(addresses)
  const dialling = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_TIMEOUT_MS)])
  await Promise.allSettled(origins.map((origin) => peer.libp2p.dial(origin.addresses, { signal: dialling })))
  const connected = origins.filter((origin) => peer.libp2p.getConnections(origin.peer).length > 0)
  const answer: ConnectAnswer = { connected: connected.map((origin) => origin.peer.toString()), ignored }
  sendJson(response, 200, answer)
}

export function sendJson(response: ServerResponse, status: number, answer: object): void {
  const body = JSON.stringify(answer)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Leaves out the keys that are undefined, so that they do not hide defaults. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as Defined<T>
}
