import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { HoldfastError } from '../../core/errors.ts'
import { MAX_HEADER_BYTES } from '../../core/limits.ts'
import { MINUTE_MS, SECOND_MS } from '../../core/units.ts'
import { answerMalformed } from './malformed.ts'
import { capConnections } from './connection-cap.ts'

export interface ServerLimits {
  /** All headers must have come within this time. */
  headersMs: number
  /** A connection that moves no byte in either direction for this long is closed, also within a body. */
  inactivityMs: number
  /** How long a connection is kept for a next request. */
  keepAliveMs: number
  connectionsPerAddress: number
  /** How long requests in flight may take when the server closes. */
  closeMs: number
}

const DEFAULT_SERVER_LIMITS: ServerLimits = {
  headersMs: 10 * SECOND_MS,
  inactivityMs: 2 * MINUTE_MS,
  keepAliveMs: 30 * SECOND_MS,
  connectionsPerAddress: 1_024,
  closeMs: 20 * SECOND_MS,
}

export interface ListenOptions {
  host: string
  /** 0: any free port. */
  port: number
  /** The setting that names the port, for the error when it is taken. */
  settingName: string
  /** Other processes listen there too, and the system spreads connections over them (`SO_REUSEPORT`). @default false */
  isShared?: boolean
  limits?: Partial<ServerLimits>
  /** TLS, when the listener speaks it. */
  tls?: TlsOptions
}

/** A listening server. Disposing it lets requests in flight end, and then ends it. */
export interface Listening extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly server: Server
}

const IDLE_SWEEP_MS = 100
const HEADERS_CHECK_MS = SECOND_MS

/**
 * Starts a server for the application.
 * @throws CONFIG with the name of the setting when the port is taken or the address is not ours
 */
export async function listen(application: RequestListener, options: ListenOptions): Promise<Listening> {
  const { host, tls } = options
  const limits = { ...DEFAULT_SERVER_LIMITS, ...options.limits }
  const inFlight = new Set<ServerResponse>()
  const settings = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: limits.headersMs,
    keepAliveTimeout: limits.keepAliveMs,
    // Node looks every 30 s otherwise, and headers may take that much longer than they are allowed to.
    connectionsCheckingInterval: HEADERS_CHECK_MS,
  }
  const server = tls === undefined ? createServer(settings) : createTlsServer({ ...settings, ...tls })
  // Uploads may take hours; what bounds a body is its reader and the inactivity of its connection.
  server.requestTimeout = 0
  server.timeout = limits.inactivityMs
  server.on('request', (request, response) => {
    inFlight.add(response)
    response.once('close', () => inFlight.delete(response))
    if (!server.listening) response.setHeader('Connection', 'close')
    application(request, response)
  })
  server.on('clientError', answerMalformed)
  capConnections(server, limits.connectionsPerAddress)
  await bind(server, options)
  const address = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${authority(host, address.port)}`,
    port: address.port,
    server,
    [Symbol.asyncDispose]: () => close(server, inFlight, limits.closeMs),
  }
}

/** Host and port as they stand in a URL: the host of an IPv6 address in brackets. */
export function authority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

type Place = Pick<ListenOptions, 'host' | 'port' | 'settingName' | 'isShared'>

/**
 * A port for processes that are to share it: the one that is asked for, or any free one.
 * @throws CONFIG when another program has it, or when this system cannot share a port
 */
export async function claimSharedPort(place: Omit<Place, 'isShared'>): Promise<number> {
  // Alone first: shared, it would be taken along with whoever shares it already.
  const port = await tryPort(place)
  return await tryPort({ ...place, port, isShared: true })
}

async function tryPort(place: Place): Promise<number> {
  const server = createServer()
  await bind(server, place)
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function bind(server: Server, { host, port, settingName, isShared = false }: Place): Promise<void> {
  server.listen({ host, port, reusePort: isShared })
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw new HoldfastError('CONFIG', complaint((cause as NodeJS.ErrnoException).code, host, port, settingName), {
      cause,
    })
  }
}

function complaint(code: string | undefined, host: string, port: number, settingName: string): string {
  if (code === 'EADDRINUSE')
    return `Port ${port} of ${host} is taken by another program; set ${settingName} to a free one.`
  if (code === 'EACCES') return `Port ${port} may not be used by this user; set ${settingName} to one above 1023.`
  if (code === 'ENOTSUP') return 'This system cannot share a port among processes; set HOLDFAST_GATEWAY_WORKERS to 0.'
  return `Cannot listen on ${host}:${port} (${code ?? 'unknown'}); see ${settingName}.`
}

/**
 * `server.close()` alone waits for the keep-alive time of connections that fall idle afterwards: answers in flight are
 * told to be the last of their connection, and idle connections are swept until none is left.
 */
async function close(server: Server, inFlight: Set<ServerResponse>, closeMs: number): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  for (const response of inFlight) {
    if (!response.headersSent) response.setHeader('Connection', 'close')
  }
  const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS)
  const cut = setTimeout(() => server.closeAllConnections(), closeMs)
  await closed
  clearInterval(sweep)
  clearTimeout(cut)
}
