import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import { hasBody } from '../runtime/http/body.ts'
import { endLingering } from '../runtime/http/linger.ts'
import type { Log } from '../runtime/log.ts'
import { Account, type AccountOptions } from './account.ts'
import type { Answer } from './answer.ts'
import { clientGone, pumpBody } from './body-pump.ts'
import { answerFailure } from './failure.ts'
import { answerCertificateAsk, ASK_PATH } from './certificate-ask.ts'
import type { Guard } from './guard.ts'
import { CORS } from './headers.ts'
import { locate, type LocateOptions, type Location } from './locate.ts'
import { parseRequest } from './request.ts'
import { respond, type ReadingOptions } from './respond.ts'
import { answerRouting, ROUTING_CORS, ROUTING_PATH, type Routing } from './routing.ts'
import type { GatewaySettings } from './settings.ts'
import type { GatewaySources } from './source.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import { visitorOf, type Visitor } from './visitor.ts'

export interface ExchangeOptions extends Omit<LocateOptions, 'signal'>, Omit<ReadingOptions, 'signal'>, AccountOptions {
  source: GatewaySources
  guard: Guard
  /** Undefined: this gateway is no delegated router. */
  routing: Routing | undefined
  log: Log
}

/**
 * One request and its answer, from socket to socket. What goes wrong before the first byte is told with a status; after
 * that the connection is reset. The client's leaving aborts all reads. Never rejects.
 */
export async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  options: ExchangeOptions,
): Promise<void> {
  const { settings, log } = options
  const account = new Account(request, response, options)
  const stop = new AbortController()
  let deadline = setTimeout(() => stop.abort(tooSlow()), settings.firstByteTimeoutMs)
  response.once('close', () => {
    if (!response.writableFinished) stop.abort(clientGone())
  })
  try {
    const answer = await startAnswer(request, options, { account, stop })
    if (response.destroyed) return
    clearTimeout(deadline)
    if (answer.body !== undefined) {
      deadline = setTimeout(() => {
        stop.abort(tooSlow())
        if (!response.closed) cutOff(request, response, { reason: stop.signal.reason, account, log })
      }, settings.answerTimeoutMs)
    }
    await send(answer, request, response, { settings, account })
  } catch (error) {
    if (!response.destroyed) cutOff(request, response, { reason: error, account, log })
    stop.abort(error)
  } finally {
    clearTimeout(deadline)
  }
}

/** What goes along with a request until it is answered. */
interface State {
  account: Account
  /** Ends all reads. */
  stop: AbortController
}

/** An answer whose first bytes are there, so that its status is true. */
async function startAnswer(request: IncomingMessage, options: ExchangeOptions, state: State): Promise<Answer> {
  const { stop } = state
  const { signal } = stop
  try {
    return await unlessAborted(firstPiece(request, options, state), signal)
  } catch (error) {
    const reason = signal.aborted ? signal.reason : error
    stop.abort(reason)
    const id = randomUUID()
    if (!(reason instanceof HoldfastError) && reason?.name !== 'AbortError') {
      options.log.error({ err: reason, requestId: id }, 'a read failed unexpectedly')
    }
    return answerFailure(reason, id, request.headers.accept)
  }
}

async function firstPiece(request: IncomingMessage, options: ExchangeOptions, state: State): Promise<Answer> {
  const answer = await answerFor(request, options, state)
  refuseTooLong(answer, options.settings)
  return started(answer, request.method)
}

/** No length is promised that would not be delivered. */
function refuseTooLong({ headers }: Answer, { maxAnswerBytes }: GatewaySettings): void {
  if (Number(headers['content-length'] ?? 0) <= maxAnswerBytes) return
  const message = `An answer may have at most ${maxAnswerBytes} bytes; ask for ranges.`
  throw new HoldfastError('PAYLOAD_TOO_LARGE', message)
}

async function answerFor(
  request: IncomingMessage,
  options: ExchangeOptions,
  { account, stop: { signal } }: State,
): Promise<Answer> {
  const { method = '', url = '', headers } = request
  if (method === 'OPTIONS') return { status: 204, headers: url.startsWith(ROUTING_PATH) ? ROUTING_CORS : {} }
  const head = { url, headers, remoteAddress: request.socket.remoteAddress }
  const location = await locate(head, { ...options, signal })
  if ('redirect' in location) return location.redirect
  account.located(location)
  const own = location.site.kind === 'path' ? answerOwn(request, location, options, signal) : undefined
  if (own !== undefined) return await own
  const asked = parseRequest(method, location, headers)
  account.asked(asked)
  const visitor = (): Visitor => visitorOf(request, location, options.proxies)
  const source = options.hosts.fetches(location.site.host) ? options.source : options.source.unfetched
  const guarded = options.guard.watch(asked, { visitor, onAdmitted: account.paidBy }, { ...options, source })
  return guarded.finish(await respond(asked, { ...options, ...guarded, signal }))
}

/** What a gateway answers beside content, on hosts that are not given to a site. */
function answerOwn(
  request: IncomingMessage,
  location: Location,
  options: ExchangeOptions,
  signal: AbortSignal,
): Promise<Answer> | Answer | undefined {
  const { routing, names, guard } = options
  const { urlPath } = location
  if (urlPath === '/livez') return { status: 200, headers: { 'content-type': 'text/plain' }, body: Buffer.from('ok\n') }
  if (urlPath === ASK_PATH) return answerCertificateAsk(request, location.rawQuery, { ...options, signal })
  if (routing === undefined || !urlPath.startsWith(ROUTING_PATH)) return undefined
  return answerRouting(request, location, { ...guard.watchRouting({ routing, names }), signal })
}

/** The same answer once the first piece of its body has been read; an answer to HEAD has no body to read. */
async function started(answer: Answer, method: string | undefined): Promise<Answer> {
  const { body, ...head } = answer
  if (method === 'HEAD' || body === undefined) return head
  if (body instanceof Uint8Array) return answer
  const pieces = body[Symbol.asyncIterator]()
  const first = await pieces.next()
  return { ...head, body: resumed(first, pieces) }
}

async function* resumed(
  first: IteratorResult<Uint8Array>,
  pieces: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    for (let next = first; next.done !== true; next = await pieces.next()) yield next.value
  } finally {
    await pieces.return?.()
  }
}

async function send(
  { status, headers, body }: Answer,
  request: IncomingMessage,
  response: ServerResponse,
  { settings, account }: { settings: GatewaySettings; account: Account },
): Promise<void> {
  // What is left of a body that nobody wanted must not be taken for the next request.
  const isUnread = hasBody(request) && !request.complete
  response.writeHead(status, {
    ...CORS,
    vary: 'Accept',
    'server-timing': account.answering(),
    ...headers,
    ...(isUnread ? { connection: 'close' } : {}),
  })
  if (isUnread && body instanceof Uint8Array) await endLingering(response, body)
  else if (request.method === 'HEAD' || body === undefined) response.end()
  else if (body instanceof Uint8Array) await sendWhole(body, response, settings)
  else {
    await pumpBody(body, response, settings)
    response.end()
  }
}

/** A small body waits in the socket's buffer; a larger one is handed over piece by piece like any other. */
async function sendWhole(body: Uint8Array, response: ServerResponse, settings: GatewaySettings): Promise<void> {
  if (body.length > settings.writeBytes) await pumpBody(once(body), response, settings)
  response.end(body.length > settings.writeBytes ? undefined : body)
}

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body
}

/** Resets the connection: an end that looks orderly would let a part pass for the whole. */
function cutOff(
  request: IncomingMessage,
  response: ServerResponse,
  { reason, account, log }: { reason: unknown; account: Account; log: Log },
): void {
  const isClientGone = (reason as Error | undefined)?.name === 'AbortError'
  if (!isClientGone) account.cutOff(reason)
  request.socket.resetAndDestroy()
  response.destroy()
  if (isClientGone) return
  // A query can hold a signature.
  log.warn({ err: reason, path: request.url?.split('?', 1)[0] }, 'an answer was cut off')
}

function tooSlow(): HoldfastError {
  return new HoldfastError('TIMED_OUT', 'The content could not be had in time.')
}
