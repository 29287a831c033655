import { RecentMap } from '../core/recent-map.ts'
import type { Sql } from './database.ts'
import { hashToken } from './token-text.ts'
import { authenticate, type Caller } from './tokens.ts'
import type { Wakes } from './wake.ts'

/** Answers who callers are, from memory where it can. */
export interface Authenticator {
  /** @throws UNAVAILABLE when the token is not in memory and the database cannot be asked */
  authenticate(token: string): Promise<Caller | undefined>
}

/** How long an answer is believed: with the time of a request, a revoked token is dead everywhere within a second. */
const BELIEVED_MS = 800
const CACHED_TOKENS = 10_000
const REVOKED = 'tokens'

/** An authenticator of this process. What other processes announce as revoked is forgotten at once. */
export function createAuthenticator(db: Sql, wakes: Wakes): Authenticator {
  // The text itself is not kept in memory.
  const believed = new RecentMap<string, { caller: Promise<Caller | undefined>; until: number }>(CACHED_TOKENS)
  wakes.on(REVOKED, () => believed.clear())

  function remember(key: string, caller: Promise<Caller | undefined>): void {
    believed.set(key, { caller, until: performance.now() + BELIEVED_MS })
  }

  return {
    async authenticate(token) {
      const key = hashToken(token).toString('base64')
      const known = believed.get(key)
      if (known !== undefined && performance.now() < known.until) return known.caller
      // Callers that come at once with one token share the question.
      const caller = authenticate(db, token)
      remember(key, caller)
      caller.catch(() => believed.delete(key))
      return caller
    },
  }
}

/** Tells all processes that a token was revoked. */
export function announceRevocation(wakes: Wakes): void {
  wakes.announce(REVOKED)
}
