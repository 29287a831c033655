import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { once } from 'node:events'
import type { BlockReader } from '../blocks/contract.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_HEADER_BYTES } from '../core/limits.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { KIB, MIB, SECOND_MS } from '../core/units.ts'
import { answerFailure } from './answer.ts'
import type { PeerRole, TransferDirectory } from './directory.ts'
import { serveBlock, serveBlocks, serveHas, serveManifest, serveRoots } from './serve-blocks.ts'
import { Slots } from './slots.ts'
import { provenKey, tlsOptions } from './tls.ts'
import { TokenBucket } from './token-bucket.ts'

/** Answers one request. What it throws is told to the caller as `{ error: { reason, details } }`. */
type TransferHandler = (request: IncomingMessage, response: ServerResponse, context: Serving) => Promise<void>

export interface TransferRoute {
  method: 'GET' | 'POST'
  /** The first segment of the path. */
  name: string
  /** Who may call it. */
  who: PeerRole
  handle: TransferHandler
}

/** What a handler works with. */
export interface Serving {
  store: BlockReader
  /** Parsed target of the request. */
  url: URL
  /** Aborted when the caller is gone or the server closes. */
  signal: AbortSignal
  /** Streams of many blocks: a bounded number at once, below the bandwidth that repair may use. */
  bulk: Slots
  bandwidth: TokenBucket | undefined
  /** Streams of blocks that somebody reads just now: a bounded number at once, beside those limits. */
  reads: Slots
  /** A chunk that the caller takes more slowly than this is the last one. */
  minBytesPerSecond: number
}

export interface TransferServerOptions {
  store: BlockReader
  identity: NodeIdentity
  directory: TransferDirectory
  host: string
  /** 0: any free port. */
  port: number
  /** Further routes, such as the intake of uploads. */
  routes?: readonly TransferRoute[]
  /** Streams of many blocks at once; each holds about 1.5 MiB. @default 16 */
  maxStreams?: number
  /** Rate of all streams of many blocks together; what readers ask for passes beside it. @default no limit */
  bulkBytesPerSecond?: number
  /** @default 16 KiB */
  minBytesPerSecond?: number
}

export interface TransferServer extends AsyncDisposable {
  /** The port that it listens on. */
  port: number
}

/** Written to the socket at once; what makes streams of large chunks cheap. */
const SOCKET_BUFFER_BYTES = MIB
/** Streams for readers at once; each is short. */
const MAX_READS = 64
const MAX_CONNECTIONS = 1_024
/** Calls that wait for one of the streams. */
const MAX_WAITING = 256

const ROUTES: readonly TransferRoute[] = [
  { method: 'GET', name: 'manifest', who: 'node', handle: serveManifest },
  { method: 'GET', name: 'block', who: 'node', handle: serveBlock },
  { method: 'POST', name: 'has', who: 'node', handle: serveHas },
  { method: 'POST', name: 'blocks', who: 'node', handle: serveBlocks },
  { method: 'POST', name: 'roots', who: 'node', handle: serveRoots },
]

/**
 * Serves the store's blocks to the other nodes of the directory, and further routes to whom they are for
 * (docs/decisions/0003-transfer-protocol.md). Connections of strangers are closed before a request is read.
 */
export async function openTransferServer(options: TransferServerOptions): Promise<TransferServer> {
  const { identity, directory, host, port } = options
  const closing = new AbortController()
  const routes = [...ROUTES, ...(options.routes ?? [])]
  const shared = {
    store: options.store,
    bulk: new Slots(options.maxStreams ?? 16, MAX_WAITING),
    reads: new Slots(MAX_READS, MAX_WAITING),
    bandwidth: options.bulkBytesPerSecond === undefined ? undefined : new TokenBucket(options.bulkBytesPerSecond),
    minBytesPerSecond: options.minBytesPerSecond ?? 16 * KIB,
  }
  const server = createServer({
    ...tlsOptions(identity),
    requestCert: true,
    // Keys are compared below; a self-signed certificate has no authority to be checked with.
    rejectUnauthorized: false,
    handshakeTimeout: 10 * SECOND_MS,
    headersTimeout: 10 * SECOND_MS,
    // Uploads take as long as they take; the readers of bodies watch their rate.
    requestTimeout: 0,
    keepAliveTimeout: 60 * SECOND_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    highWaterMark: SOCKET_BUFFER_BYTES,
    noDelay: true,
  })
  server.maxConnections = MAX_CONNECTIONS
  const sockets = trackSockets(server)
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => socket.destroy())
    if (roleOf(socket, directory) === undefined) socket.destroy()
  })
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    void answer(request, response).catch((error: unknown) => answerFailure(response, error))
  }
  server.on('request', onRequest)
  // Whoever waits with a body for a 100 gets it from the handler, once it wants the body.
  server.on('checkContinue', onRequest)

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = routeOf(request, routes, roleOf(request.socket as TLSSocket, directory))
    const gone = new AbortController()
    response.on('error', () => gone.abort())
    response.on('close', () => {
      if (!response.writableFinished) gone.abort()
    })
    const signal = AbortSignal.any([gone.signal, closing.signal])
    await route.handle(request, response, { ...shared, url: urlOf(request), signal })
  }

  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      closing.abort()
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function urlOf(request: IncomingMessage): URL {
  return new URL(request.url ?? '/', 'https://node')
}

/** A key that left the directory while its connection was open is a stranger's from then on. */
function roleOf(socket: TLSSocket, directory: TransferDirectory): PeerRole | undefined {
  const key = provenKey(socket)
  return key === undefined ? undefined : directory.roleOf(key)
}

/** @throws FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, BAD_REQUEST */
function routeOf(
  request: IncomingMessage,
  routes: readonly TransferRoute[],
  role: PeerRole | undefined,
): TransferRoute {
  if (!URL.canParse(request.url ?? '', 'https://node')) throw new HoldfastError('BAD_REQUEST', 'The target is no path.')
  const name = urlOf(request).pathname.split('/')[1]
  const route = routes.find((route) => route.name === name)
  if (route === undefined) throw new HoldfastError('NOT_FOUND', 'There is no such call.')
  if (route.method !== request.method) throw new HoldfastError('METHOD_NOT_ALLOWED', `Use ${route.method}.`)
  if (route.who !== role) throw new HoldfastError('FORBIDDEN', `Only a ${route.who} may do this.`)
  return route
}

function trackSockets(server: Server): Set<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return sockets
}
