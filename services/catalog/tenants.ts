import { randomUUIDv7 } from 'node:crypto'
import { SCOPES } from '../core/scopes.ts'
import type { Database, Sql } from './database.ts'
import { hashToken, hintOf } from './token-text.ts'

/** The tenant of that name, made when there is none. With a token, that text opens all of the tenant's doors from now on. */
export async function ensureTenant(db: Database, name: string, token?: string): Promise<number> {
  return db.transaction(async (sql) => {
    await sql.run('insert into tenant (name) values ($1) on conflict (name) do nothing', [name])
    const [tenant] = await sql.query<{ id: number }>('select id from tenant where name = $1', [name])
    if (tenant === undefined) throw new Error(`tenant ${name} was removed while it was made`)
    await sql.run('insert into tenant_usage (tenant_id) values ($1) on conflict do nothing', [tenant.id])
    if (token !== undefined) await setConfiguredToken(sql, tenant.id, token)
    return tenant.id
  })
}

const CONFIGURED = 'configuration'

/** The configuration names one token: the one it named before is no longer valid, this one is, even if it was revoked. */
async function setConfiguredToken(sql: Sql, tenantId: number, token: string): Promise<void> {
  const hash = hashToken(token)
  await sql.run(
    `update api_token set revoked_at = now()
     where tenant_id = $1 and name = $2 and hash <> $3 and revoked_at is null`,
    [tenantId, CONFIGURED, hash],
  )
  await sql.run(
    `insert into api_token (id, tenant_id, name, hash, hint, scopes) values ($1, $2, $3, $4, $5, $6)
     on conflict (hash) do update
       set tenant_id = excluded.tenant_id, name = excluded.name, scopes = excluded.scopes, expires_at = null, revoked_at = null`,
    [randomUUIDv7(), tenantId, CONFIGURED, hash, hintOf(token), SCOPES],
  )
}

export interface TenantLimits {
  /** Pins at once; undefined: any number. */
  maxPins: number | undefined
  /** Bytes of one pin's DAG; undefined: any number. */
  maxPinBytes: number | undefined
}

export async function setTenantLimits(db: Sql, tenantId: number, limits: TenantLimits): Promise<void> {
  await db.run('update tenant_usage set max_pins = $2, max_pin_bytes = $3 where tenant_id = $1', [
    tenantId,
    limits.maxPins ?? null,
    limits.maxPinBytes ?? null,
  ])
}

/** What can be read at once, however many pins there are. */
export interface TenantRoom extends TenantLimits {
  pins: number
}

export async function roomOf(db: Sql, tenantId: number): Promise<TenantRoom> {
  const [row] = await db.query<{ pins: number; maxPins: number | null; maxPinBytes: number | null }>(
    `select pins::float8 as pins, max_pins::float8 as "maxPins", max_pin_bytes::float8 as "maxPinBytes"
     from tenant_usage where tenant_id = $1`,
    [tenantId],
  )
  return { pins: row?.pins ?? 0, maxPins: row?.maxPins ?? undefined, maxPinBytes: row?.maxPinBytes ?? undefined }
}

export interface TenantUsage extends TenantRoom {
  /** Bytes of the distinct DAGs that the tenant's pins name, as far as they were measured; each copy of one counts once. */
  bytes: number
}

/** Reads all pins of the tenant: for people, not for every request. */
export async function usageOf(db: Sql, tenantId: number): Promise<TenantUsage> {
  const room = await roomOf(db, tenantId)
  const [row] = await db.query<{ bytes: number }>(
    `select coalesce(sum(content.bytes), 0)::float8 as bytes from content
     where content.id in (select pin.content_id from pin where pin.tenant_id = $1)`,
    [tenantId],
  )
  return { ...room, bytes: row?.bytes ?? 0 }
}
