import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import type { Log } from '../swarm/log.ts'
import { failureOf } from './failure.ts'
import { ROUTES, sendJson, type Exchange, type Parts, type Route } from './routes.ts'

/** The longest path of a unix domain socket that every system takes. */
const MAX_SOCKET_PATH_BYTES = 100

/**
 * Serves the routes over a unix domain socket that only our user can open. A socket file that a killed process left is
 * replaced. Disposing the server cuts off what is under way.
 * @throws CONFIG when the path is too long for a socket
 */
export async function openServer(socketPath: string, parts: Parts, log: Log): Promise<AsyncDisposable> {
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    throw new HoldfastError('CONFIG', `The socket path ${socketPath} has more than ${MAX_SOCKET_PATH_BYTES} bytes.`)
  }
  await rm(socketPath, { force: true })
  const server = createServer((request, response) => void answer(parts, request, response, log))
  server.listen(socketPath)
  await once(server, 'listening')
  await chmod(socketPath, 0o600)
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(parts: Parts, request: IncomingMessage, response: ServerResponse, log: Log): Promise<void> {
  const callerGone = new AbortController()
  response.on('close', () => callerGone.abort())
  try {
    const url = new URL(request.url ?? '/', 'http://peer')
    const { route, params } = routeFor(request.method ?? '', url.pathname)
    await route.answer(parts, { request, response, url, params, signal: callerGone.signal } satisfies Exchange)
  } catch (error) {
    if (response.destroyed) return
    const { status, reason, details } = failureOf(error)
    if (status === 500) log.error({ err: error, path: request.url }, 'a call of the peer process failed')
    if (response.headersSent) response.destroy()
    else sendJson(response, status, { error: { reason, details } })
  }
}

function routeFor(method: string, path: string): { route: Route; params: string[] } {
  for (const route of ROUTES) {
    const match = route.path.exec(path)
    if (match !== null && route.method === method) return { route, params: match.slice(1) }
  }
  throw new HoldfastError('NOT_FOUND', `There is no ${method} ${path}.`)
}
