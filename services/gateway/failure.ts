import { hasCode } from '../core/errors.ts'
import { failureBody, failureOf, type HttpFailure } from '../runtime/http/errors.ts'
import type { Answer } from './answer.ts'
import { RangeNotSatisfiable } from './byte-ranges.ts'
import { errorPage, PAGE_POLICY } from './page.ts'

/**
 * The answer for a request that failed: a sentence, as a page for a browser or as JSON for who asks for that. Nothing of
 * it is kept by caches, but "not here" for a moment, so that a page with many dead links does not ask again for each.
 */
export function answerFailure(error: unknown, requestId: string, accept: string | undefined): Answer {
  const { status, reason, details, ...failure } = failureOf(error, requestId)
  const retryAfterSeconds = failure.retryAfterSeconds ?? RETRY_AFTER_SECONDS.get(status)
  const type = typeFor(accept)
  const body = Buffer.from(bodyOf(type, { status, reason, details }))
  return {
    status,
    body,
    headers: {
      'content-type': type,
      'content-length': String(body.length),
      'cache-control': KEPT.get(status) ?? 'no-store',
      'x-content-type-options': 'nosniff',
      ...(type === 'text/html' ? { 'content-security-policy': PAGE_POLICY } : {}),
      ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
      ...(error instanceof RangeNotSatisfiable ? { 'content-range': `bytes */${error.sizeBytes}` } : {}),
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      ...(hasCode(error, 'METHOD_NOT_ALLOWED') ? { allow: 'GET, HEAD, OPTIONS' } : {}),
    },
  }
}

/** How long caches may keep a failure. What is denied can be allowed again. */
const KEPT: ReadonlyMap<number, string> = new Map([
  [404, 'public, max-age=15'],
  [410, 'public, max-age=60'],
  [451, 'public, max-age=60'],
])

/** Failures of somebody behind us, which pass by themselves. */
const RETRY_AFTER_SECONDS: ReadonlyMap<number, number> = new Map([
  [502, 5],
  [504, 5],
])

type FailureType = 'text/html' | 'application/json' | 'text/plain; charset=utf-8'

function typeFor(accept = ''): FailureType {
  if (accept.includes('text/html')) return 'text/html'
  return accept.includes('application/json') ? 'application/json' : 'text/plain; charset=utf-8'
}

function bodyOf(type: FailureType, { status, reason, details }: Omit<HttpFailure, 'retryAfterSeconds'>): string {
  if (type === 'text/html') return errorPage(status, details)
  return type === 'application/json'
    ? `${JSON.stringify(failureBody({ reason, details }))}\n`
    : `${reason}: ${details}\n`
}
