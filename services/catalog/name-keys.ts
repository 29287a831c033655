import { HoldfastError } from '../core/errors.ts'
import type { Sql } from './database.ts'
import type { MasterKeys } from './master-key.ts'
import { withTenantSeal } from './tenant-keys.ts'

/** Seals a private key for one name of one tenant; in any other place it cannot be opened. The caller overwrites `secret`. */
export async function sealNameKey(
  sql: Sql,
  masters: MasterKeys,
  { tenantId, nameId }: { tenantId: number; nameId: string },
  secret: Uint8Array,
): Promise<Buffer> {
  return await withTenantSeal(sql, masters, tenantId, (seal) => seal.close(secret, about(nameId)))
}

/**
 * Lends the private key of a name, and overwrites it afterwards.
 * @throws NOT_FOUND when the tenant has no key of it here; UNAVAILABLE when it cannot be opened
 */
export async function withNameKey<T>(
  sql: Sql,
  masters: MasterKeys,
  { tenantId, nameId }: { tenantId: number; nameId: string },
  use: (secret: Uint8Array) => T | Promise<T>,
): Promise<T> {
  const [row] = await sql.query<{ sealed: Buffer }>(
    `select key.sealed from name_key key join name on name.id = key.name_id
      where name.id = $1 and name.tenant_id = $2`,
    [nameId, tenantId],
  )
  if (row === undefined) throw new HoldfastError('NOT_FOUND', 'No key of this name is kept here.')
  const secret = await withTenantSeal(sql, masters, tenantId, (seal) => seal.open(row.sealed, about(nameId)))
  try {
    return await use(secret)
  } finally {
    secret.fill(0)
  }
}

/** A key of a name that is to be signed anew. */
export interface DueKey {
  name: string
  nameId: string
  tenantId: number
  lifetimeMs: number
  sealed: Buffer
}

/** Names whose records are to be signed anew, those that end first before others. Nothing is held. */
export function dueKeys(sql: Sql, limit: number): Promise<DueKey[]> {
  return sql.query<DueKey>(
    `select due.name, n.id as "nameId", n.tenant_id as "tenantId", n.lifetime_ms::float8 as "lifetimeMs", n.sealed
       from (select name, sign_at from ipns_name where sign_at <= now() order by sign_at limit $1) due
       cross join lateral (
         select name.id, name.tenant_id, name.lifetime_ms, key.sealed
           from name join name_key key on key.name_id = name.id
          where name.name = due.name order by name.id limit 1) n
      order by n.tenant_id, due.sign_at`,
    [limit],
  )
}

/** Opens sealed keys of one tenant, and overwrites them after `use`; one that cannot be opened is undefined. */
export async function withDueKeys<T>(
  sql: Sql,
  masters: MasterKeys,
  tenantId: number,
  keys: readonly DueKey[],
  use: (secrets: readonly (Uint8Array | undefined)[]) => Promise<T>,
): Promise<T> {
  const secrets = await withTenantSeal(sql, masters, tenantId, (seal) =>
    keys.map(({ sealed, nameId }) => {
      try {
        return seal.open(sealed, about(nameId))
      } catch {
        return undefined
      }
    }),
  )
  try {
    return await use(secrets)
  } finally {
    for (const secret of secrets) secret?.fill(0)
  }
}

function about(nameId: string): string {
  return `name ${nameId}`
}
