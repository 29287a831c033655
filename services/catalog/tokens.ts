import { randomUUIDv7 } from 'node:crypto'
import type { Scope } from '../core/scopes.ts'
import type { Sql } from './database.ts'
import { hashToken, hintOf, isMistyped, makeToken } from './token-text.ts'
import { isUuid } from './uuid.ts'

export { makeToken } from './token-text.ts'

/** Who a token speaks for. */
export interface Caller {
  tenantId: number
  tokenId: string
  scopes: readonly Scope[]
}

export interface NewToken {
  name: string
  scopes: readonly Scope[]
  /** RFC 3339; never expires when undefined. */
  expiresAt?: string | undefined
}

/** A token as its owner sees it later, without the secret. */
export interface TokenSummary {
  id: string
  name: string
  /** The last characters of the token. */
  hint: string
  scopes: Scope[]
  createdAt: string
  expiresAt: string | null
  /** Within ten minutes. */
  lastUsedAt: string | null
}

/** Makes a token. Its text is in the answer and nowhere else. */
export async function createToken(db: Sql, tenantId: number, token: NewToken): Promise<{ id: string; token: string }> {
  const id = randomUUIDv7()
  const text = makeToken()
  await db.run(
    `insert into api_token (id, tenant_id, name, hash, hint, scopes, expires_at) values ($1, $2, $3, $4, $5, $6, $7)`,
    [id, tenantId, token.name, hashToken(text), hintOf(text), token.scopes, token.expiresAt ?? null],
  )
  return { id, token: text }
}

/** The tenant's tokens that were not revoked, the newest first. */
export function listTokens(db: Sql, tenantId: number): Promise<TokenSummary[]> {
  return db.query<TokenSummary>(
    `select id, name, hint, scopes, created_at as "createdAt", expires_at as "expiresAt", last_used_at as "lastUsedAt"
     from api_token where tenant_id = $1 and revoked_at is null order by created_at desc, id desc`,
    [tenantId],
  )
}

/** Ends a token for good. Answers whether the tenant had such a token; doing it again changes nothing. */
export async function revokeToken(db: Sql, tenantId: number, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  const touched = await db.run(
    'update api_token set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and id = $2',
    [tenantId, id],
  )
  return touched > 0
}

/** Who the token speaks for, as the database says now; undefined when it is unknown, revoked or expired. */
export async function authenticate(db: Sql, token: string): Promise<Caller | undefined> {
  if (isMistyped(token)) return undefined
  const [row] = await db.prepared<Caller & { unused: boolean }>(
    'authenticate',
    `select tenant_id as "tenantId", id as "tokenId", scopes,
            coalesce(last_used_at < now() - interval '10 minutes', true) as unused
     from api_token where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())`,
    [hashToken(token)],
  )
  if (row === undefined) return undefined
  const { unused, ...caller } = row
  if (unused) await markUsed(db, caller.tokenId)
  return caller
}

/** Whether a token is good still, for whoever was let in long ago. */
export async function isTokenValid(db: Sql, tokenId: string): Promise<boolean> {
  const rows = await db.query(
    'select from api_token where id = $1 and revoked_at is null and (expires_at is null or expires_at > now())',
    [tokenId],
  )
  return rows.length > 0
}

/** At most every ten minutes per token, so that reading does not become writing. */
async function markUsed(db: Sql, tokenId: string): Promise<void> {
  await db.run(
    `update api_token set last_used_at = now()
     where id = $1 and coalesce(last_used_at < now() - interval '10 minutes', true)`,
    [tokenId],
  )
}
