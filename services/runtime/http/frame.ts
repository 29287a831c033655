import { randomUUID } from 'node:crypto'
import type { Context, Middleware, Next, ParameterizedContext } from 'koa'
import { SECOND_MS } from '../../core/units.ts'
import type { Log } from '../log.ts'
import { hasBody } from './body.ts'
import { failureBody, failureOf, type HttpFailure } from './errors.ts'
import { endLingering } from './linger.ts'
import type { HttpMetrics } from './metrics.ts'

/** What every request carries. */
export interface FrameState {
  requestId: string
  /** Template of the route that was taken, such as `/v1/nodes/{id}`; unset when none matched. */
  route?: string
}

export type FrameContext = ParameterizedContext<FrameState>

/** Set by every answer of the API: nothing of it may be framed, sniffed or kept by a cache. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Cache-Control': 'no-store',
}

/**
 * The outermost middleware: gives the request an id, sets the security headers, turns whatever is thrown into the one
 * shape of failures, and counts and logs the outcome. Query strings and headers are never logged.
 */
export function frame({ log, metrics }: { log: Log; metrics?: HttpMetrics | undefined }): Middleware<FrameState> {
  return async (ctx: FrameContext, next: Next) => {
    const startedAt = performance.now()
    ctx.state.requestId = requestIdOf(ctx.get('x-request-id'))
    ctx.set('X-Request-Id', ctx.state.requestId)
    ctx.set(SECURITY_HEADERS)
    try {
      await next()
    } catch (error) {
      await fail(ctx, error, log)
    }
    const seconds = (performance.now() - startedAt) / SECOND_MS
    const outcome = { method: ctx.method, route: ctx.state.route ?? 'none', status: ctx.res.statusCode }
    metrics?.observe(outcome, seconds)
    log[outcome.status < 400 ? 'debug' : 'info'](
      { ...outcome, path: ctx.path, requestId: ctx.state.requestId, seconds: Number(seconds.toFixed(4)) },
      'request',
    )
  }
}

/** A client may name its requests, so that its log and ours can be read together. */
function requestIdOf(offered: string): string {
  return /^[\w.-]{8,64}$/.test(offered) ? offered : randomUUID()
}

async function fail(ctx: FrameContext, error: unknown, log: Log): Promise<void> {
  const { requestId } = ctx.state
  const failure = failureOf(error, requestId)
  const clientIsGone = ctx.req.destroyed && !ctx.req.complete
  if (failure.status === 500 && !clientIsGone) log.error({ err: error, requestId }, 'a request failed unexpectedly')
  if (ctx.res.headersSent || clientIsGone) {
    ctx.respond = false
    ctx.res.destroy()
    return
  }
  if (hasBody(ctx.req) && !ctx.req.complete) await answerEarly(ctx, failure)
  else answer(ctx, failure)
}

function answer(ctx: FrameContext, failure: HttpFailure): void {
  if (failure.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(failure.retryAfterSeconds))
  if (failure.status === 401) ctx.set('WWW-Authenticate', 'Bearer')
  ctx.type = 'json'
  ctx.body = JSON.stringify(failureBody(failure))
  ctx.status = failure.status
}

/** Answers while the body is still on its way; the connection ends with this answer. */
async function answerEarly(ctx: FrameContext, failure: HttpFailure): Promise<void> {
  answer(ctx, failure)
  ctx.respond = false
  const body = Buffer.from(String(ctx.body))
  ctx.set('Connection', 'close')
  ctx.set('Content-Length', String(body.length))
  await endLingering(ctx.res, body)
}

/** Where a request comes from, for limits: IPv4 in its own form, IPv6 by its network of 64 bits, which is one customer. */
export function senderOf(ctx: Pick<Context, 'ip'>): string {
  const address = ctx.ip.replace(/^::ffff:(?=\d+\.)/, '')
  return address.includes(':') ? address.split(':').slice(0, 4).join(':') : address
}
