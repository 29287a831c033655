import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { cidKey, isIdentity } from '../core/cid.ts'
import { hasCode, HoldfastError, type ErrorCode } from '../core/errors.ts'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'
import { SECOND_MS } from '../core/units.ts'
import { verify } from '../core/verify.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { readCar } from '../dag/read-car.ts'
import { SocketCalls } from './socket-calls.ts'
import type { TopicValue } from './topic-news.ts'
import {
  FETCH_ID_HEADER,
  MAX_VALUE_BYTES,
  type ConnectAnswer,
  type ConnectRequest,
  type FailureAnswer,
  type FetchRequest,
  type FoundValue,
  type PeerStatus,
  type ProvideRequest,
  type PutValueAnswer,
  type PutValueRequest,
  type TopicNewsLine,
} from './wire.ts'

interface FetchOptions extends Abortable, Omit<FetchRequest, 'root'> {}

/**
 * The peer process as other processes see it. What it sends is verified here again. Every call fails with UNAVAILABLE
 * while the process is down, and works again once it is back; nothing else is lost by that.
 */
export interface PeerClient extends Disposable {
  status(options?: Abortable): Promise<PeerStatus>
  /**
   * The blocks of the DAG that the node's store lacks, each once and verified, parents before children. The store must
   * have what the peer process sees in it until the copy is committed.
   * @throws as `retrieve`; UNAVAILABLE when the peer process ends meanwhile
   */
  fetch(root: CID, options?: FetchOptions): AsyncGenerator<Block, void>
  /** One block from the network; undefined when nobody has it. @throws TIMED_OUT, UNAVAILABLE, UPSTREAM_FAILED */
  block(cid: CID, options?: Abortable & { timeoutMs?: number }): Promise<Uint8Array | undefined>
  /** Has the roots announced to the DHT soon. */
  provide(roots: readonly CID[], options?: Abortable): Promise<void>
  /** Values that peers of the DHT have under a key, each once, as they come in; none of them is checked here. */
  findValues(key: Uint8Array, options?: Abortable): AsyncGenerator<Uint8Array, void>
  /**
   * Stores a value in the DHT. Answers with how many peers.
   * @throws UNAVAILABLE when no peer took it; CONFLICT when a newer value is known
   */
  putValue(key: Uint8Array, value: Uint8Array, options?: Abortable): Promise<number>
  /** Values that members of the key's PubSub topic have, likewise; the peer is in it from then on. @throws NOT_IMPLEMENTED */
  findInTopic(key: Uint8Array, options?: Abortable): AsyncGenerator<Uint8Array, void>
  /**
   * Tells a value to the members of the key's topic, which the peer is in from then on. Answers how many were sent it.
   * @throws CONFLICT when a newer value is known; NOT_IMPLEMENTED without PubSub
   */
  publishValue(key: Uint8Array, value: Uint8Array, options?: Abortable): Promise<number>
  /** Newer values of the topics that the peer is in, as they come. @throws NOT_IMPLEMENTED */
  hearTopics(options?: Abortable): AsyncGenerator<TopicValue, void>
  connect(addresses: readonly string[], options?: Abortable): Promise<ConnectAnswer>
}

const DEFAULT_BLOCK_TIMEOUT_MS = 30 * SECOND_MS

/** A client of the peer process that listens, now or later, on the socket. */
export function connectPeer(socketPath: string): PeerClient {
  const calls = new SocketCalls(socketPath)
  return {
    status: (options) => calls.json<PeerStatus>({ method: 'GET', path: '/status', ...options }),
    fetch: (root, options) => fetchBlocks(calls, root, options),
    block: (cid, options) => fetchBlock(calls, cid, options),
    async provide(roots, options) {
      const body: ProvideRequest = { roots: roots.map(cidKey) }
      await calls.json({ method: 'POST', path: '/provide', body, ...options })
    },
    findValues: (key, options) => findValues(calls, valuePath(key), options),
    putValue: (key, value, options) => putValue(calls, { path: valuePath(key), value, ...options }),
    findInTopic: (key, options) => findValues(calls, topicPath(key), options),
    publishValue: (key, value, options) => putValue(calls, { path: topicPath(key), value, ...options }),
    async *hearTopics(options) {
      for await (const line of streamOf<TopicNewsLine>(calls, '/topics', options)) {
        yield { key: Buffer.from(line.key, 'base64url'), value: Buffer.from(line.value, 'base64') }
      }
    },
    connect(addresses, options) {
      const body: ConnectRequest = { addresses: [...addresses] }
      return calls.json<ConnectAnswer>({ method: 'POST', path: '/connect', body, ...options })
    },
    [Symbol.dispose]: () => calls[Symbol.dispose](),
  }
}

async function* fetchBlocks(
  calls: SocketCalls,
  root: CID,
  { signal, ...hints }: FetchOptions = {},
): AsyncGenerator<Block, void> {
  const body: FetchRequest = { root: cidKey(root), ...hints }
  const response = await calls.open({
    method: 'POST',
    path: '/fetch',
    body,
    ...(signal === undefined ? {} : { signal }),
  })
  const id = response.headers[FETCH_ID_HEADER]
  try {
    const { blocks } = await readCar(response)
    yield* blocks
    if (!response.complete) throw cutOff()
  } catch (error) {
    signal?.throwIfAborted()
    // A stream that was cut off shows as a broken connection, or as a CAR that ends inside a section.
    if (response.complete || typeof id !== 'string') throw error
    throw await failureOf(calls, id, error)
  } finally {
    response.destroy()
  }
}

/** Why the peer process cut the stream off; when it does not know or does not answer, it has ended since. */
async function failureOf(calls: SocketCalls, id: string, cause: unknown): Promise<unknown> {
  try {
    const { error } = await calls.json<FailureAnswer>({ method: 'GET', path: `/fetch/${id}/failure` })
    return new HoldfastError(error.reason as ErrorCode, error.details, { cause })
  } catch {
    return cutOff(cause)
  }
}

function cutOff(cause?: unknown): HoldfastError {
  return new HoldfastError('UNAVAILABLE', 'The peer process ended while it was sending.', {
    cause,
    retryAfterSeconds: 1,
  })
}

async function putValue(
  calls: SocketCalls,
  { path, value, ...options }: Abortable & { path: string; value: Uint8Array },
): Promise<number> {
  const body: PutValueRequest = { value: Buffer.from(value).toString('base64') }
  const answer = await calls.json<PutValueAnswer>({ method: 'POST', path, body, ...options })
  return answer.peers
}

async function* findValues(
  calls: SocketCalls,
  path: string,
  options: Abortable = {},
): AsyncGenerator<Uint8Array, void> {
  for await (const { value } of streamOf<FoundValue>(calls, path, options)) yield Buffer.from(value, 'base64')
}

async function* streamOf<T>(calls: SocketCalls, path: string, options: Abortable = {}): AsyncGenerator<T, void> {
  const response = await calls.open({ method: 'GET', path, ...options })
  try {
    for await (const line of linesOf(response)) yield JSON.parse(line) as T
    if (!response.complete) throw cutOff()
  } catch (error) {
    options.signal?.throwIfAborted()
    throw response.complete ? error : cutOff(error)
  } finally {
    response.destroy()
  }
}

async function* linesOf(response: AsyncIterable<Buffer>): AsyncGenerator<string, void> {
  let rest = ''
  for await (const piece of response) {
    const lines = (rest + piece.toString('latin1')).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > 2 * MAX_VALUE_BYTES) throw new HoldfastError('UPSTREAM_FAILED', 'The peer process sent too much.')
    yield* lines
  }
}

function valuePath(key: Uint8Array): string {
  return `/values/${Buffer.from(key).toString('base64url')}`
}

function topicPath(key: Uint8Array): string {
  return `/topics/${Buffer.from(key).toString('base64url')}`
}

async function fetchBlock(
  calls: SocketCalls,
  cid: CID,
  { signal, timeoutMs = DEFAULT_BLOCK_TIMEOUT_MS }: Abortable & { timeoutMs?: number } = {},
): Promise<Uint8Array | undefined> {
  if (isIdentity(cid)) return cid.multihash.digest
  const path = `/block/${cidKey(cid)}?timeoutMs=${timeoutMs}`
  try {
    const bytes = await calls.bytes(
      { method: 'GET', path, ...(signal === undefined ? {} : { signal }) },
      MAX_BLOCK_BYTES,
    )
    verify(cid, bytes)
    return bytes
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    throw error
  }
}
