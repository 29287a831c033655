import type { Middleware } from 'koa'
import { HOUR_MS, SECOND_MS } from '../../core/units.ts'
import type { FrameState } from './frame.ts'

const EXPOSED =
  'ETag, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Total-Exact'

/**
 * Lets pages of any origin call: who calls is told by a bearer token that a page must have been given, never by a
 * cookie, so that a foreign page can do no more than its server could.
 */
export function cors(): Middleware<FrameState> {
  return async (ctx, next) => {
    ctx.set('Access-Control-Allow-Origin', '*')
    ctx.set('Access-Control-Expose-Headers', EXPOSED)
    if (ctx.method !== 'OPTIONS' || ctx.get('access-control-request-method') === '') {
      await next()
      return
    }
    ctx.set('Access-Control-Allow-Methods', 'GET, HEAD, POST, PUT, DELETE')
    ctx.set('Access-Control-Allow-Headers', 'Authorization, Content-Type, If-Match, Last-Event-ID, X-Request-Id')
    ctx.set('Access-Control-Max-Age', String((2 * HOUR_MS) / SECOND_MS))
    ctx.status = 204
  }
}
