import { z } from 'zod'
import { announceRevocation } from '../catalog/authenticator.ts'
import type { Database } from '../catalog/database.ts'
import { createToken, listTokens, revokeToken } from '../catalog/tokens.ts'
import type { Wakes } from '../catalog/wake.ts'
import { HoldfastError } from '../core/errors.ts'
import { SCOPES } from '../core/scopes.ts'
import { EMPTY, json } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'
import { storedText } from './stored-text.ts'
import { Timestamp } from './timestamp.ts'

const NewToken = z
  .strictObject({
    name: storedText({ min: 1, max: 100 }).describe('What it is for'),
    scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
    expiresAt: Timestamp.optional().describe('RFC 3339; without it the token is good until it is revoked'),
  })
  .meta({ id: 'NewToken' })

const MadeToken = z
  .object({ id: z.string(), token: z.string().describe('Shown now and never again') })
  .meta({ id: 'MadeToken' })

const TokenSummary = z
  .object({
    id: z.string(),
    name: z.string(),
    hint: z.string().describe('Its last characters'),
    scopes: z.array(z.enum(SCOPES)),
    createdAt: z.string(),
    expiresAt: z.string().nullable(),
    lastUsedAt: z.string().nullable().describe('Exact to ten minutes'),
  })
  .meta({ id: 'TokenSummary' })

/** Tokens of the caller's account. */
export function tokenRoutes({ db, wakes }: { db: Database; wakes: Wakes }): ApiRoute[] {
  return [
    route(
      {
        method: 'POST',
        path: '/v1/tokens',
        summary: 'Make a token with some of the scopes that the caller has',
        access: 'tokens:admin',
        body: json(NewToken),
        answers: { 201: MadeToken },
      },
      async ({ caller, body }) => {
        const beyond = body.scopes.filter((scope) => !caller.scopes.includes(scope))
        if (beyond.length > 0) {
          throw new HoldfastError('FORBIDDEN', `A token cannot give what it does not have: ${beyond.join(', ')}.`)
        }
        const scopes = [...new Set(body.scopes)]
        return { status: 201, body: await createToken(db, caller.tenantId, { ...body, scopes }) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/tokens',
        summary: 'Tokens that are not revoked, the newest first',
        access: 'tokens:admin',
        answers: { 200: z.object({ tokens: z.array(TokenSummary) }) },
      },
      async ({ caller }) => ({ status: 200, body: { tokens: await listTokens(db, caller.tenantId) } }),
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/tokens/{id}',
        summary: 'Revoke a token; it is worthless everywhere within a second',
        access: 'tokens:admin',
        params: z.object({ id: z.uuid() }),
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        const existed = await revokeToken(db, caller.tenantId, params.id)
        if (!existed) throw new HoldfastError('NOT_FOUND', 'There is no such token.')
        announceRevocation(wakes)
        return { status: 204 }
      },
    ),
  ]
}
