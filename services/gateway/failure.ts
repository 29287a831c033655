import { hasCode } from '../core/errors.ts'
import { failureBody, failureOf } from '../runtime/http/errors.ts'
import type { Answer } from './answer.ts'
import { RangeNotSatisfiable } from './byte-ranges.ts'
import { errorPage, PAGE_POLICY } from './page.ts'

/**
 * The answer for a request that failed: the reason as JSON, or as a page for a browser. Nothing of it is kept by caches,
 * but "not here" for a moment, so that a page with many dead links does not ask again for each.
 */
export function answerFailure(error: unknown, requestId: string, accept: string | undefined): Answer {
  const { status, reason, details, retryAfterSeconds } = failureOf(error, requestId)
  const forBrowser = accept?.includes('text/html') ?? false
  const text = forBrowser ? errorPage(status, details) : `${JSON.stringify(failureBody({ reason, details }))}\n`
  const body = Buffer.from(text)
  return {
    status,
    body,
    headers: {
      'content-type': forBrowser ? 'text/html' : 'application/json',
      'content-length': String(body.length),
      'cache-control': status === 404 ? 'public, max-age=15' : 'no-store',
      'x-content-type-options': 'nosniff',
      ...(forBrowser ? { 'content-security-policy': PAGE_POLICY } : {}),
      ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
      ...(error instanceof RangeNotSatisfiable ? { 'content-range': `bytes */${error.sizeBytes}` } : {}),
      ...(hasCode(error, 'METHOD_NOT_ALLOWED') ? { allow: 'GET, HEAD, OPTIONS' } : {}),
    },
  }
}
