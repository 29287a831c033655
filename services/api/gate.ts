import type { Authenticator } from '../catalog/authenticator.ts'
import type { Caller } from '../catalog/tokens.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Scope } from '../core/scopes.ts'
import type { Attempt, Gatekeeper } from '../runtime/http/mount.ts'
import { RequestBudget, type Budget } from './request-budget.ts'

export interface GateLimits {
  /** Requests of one tenant within a minute, in this process. */
  requestsPerMinute: number
  /** Requests with a bad token from one address within a minute. */
  failedLoginsPerMinute: number
}

/** Far above what a busy tenant needs, and low enough that a loop that ran wild is noticed. */
export const DEFAULT_GATE_LIMITS: GateLimits = { requestsPerMinute: 120_000, failedLoginsPerMinute: 60 }

/**
 * Lets a request in whose token has the scope. All bad tokens take the same way and get the same answer. Failed logins
 * are counted by address and slow down only further failures: whoever has a valid token passes, also from that address,
 * so that nobody can lock others out.
 */
export function createGate(authenticator: Authenticator, limits: GateLimits): Gatekeeper<Caller> {
  const requests = new RequestBudget(limits.requestsPerMinute)
  const failures = new RequestBudget(limits.failedLoginsPerMinute)
  return {
    async admit({ bearer, scope, sender, setHeader }: Attempt): Promise<Caller> {
      const caller = await authenticator.authenticate(bearer ?? '')
      if (caller === undefined) throw refusal(failures.take(sender))
      const budget = requests.take(String(caller.tenantId))
      tell(budget, setHeader)
      if (!budget.allowed) throw tooMany('Your account sends more requests than it may.', budget)
      if (!caller.scopes.includes(scope as Scope)) {
        throw new HoldfastError('FORBIDDEN', `The token does not have the scope ${scope}.`)
      }
      return caller
    },
  }
}

function refusal(budget: Budget): HoldfastError {
  if (!budget.allowed) return tooMany('Too many requests without a valid token come from this address.', budget)
  return new HoldfastError('UNAUTHORIZED', 'Send a valid token: Authorization: Bearer <token>.')
}

function tooMany(sentence: string, { resetSeconds }: Budget): HoldfastError {
  return new HoldfastError('TOO_MANY_REQUESTS', `${sentence} Try again in ${resetSeconds} s.`, {
    retryAfterSeconds: resetSeconds,
  })
}

/** The customary headers, and those of the IETF's draft (draft-ietf-httpapi-ratelimit-headers). */
function tell({ limit, remaining, resetSeconds, resetAtSeconds }: Budget, setHeader: Attempt['setHeader']): void {
  setHeader('X-RateLimit-Limit', String(limit))
  setHeader('X-RateLimit-Remaining', String(remaining))
  setHeader('X-RateLimit-Reset', String(resetAtSeconds))
  setHeader('RateLimit-Policy', `"account";q=${limit};w=60`)
  setHeader('RateLimit', `"account";r=${remaining};t=${resetSeconds}`)
}
