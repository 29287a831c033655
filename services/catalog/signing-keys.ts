import { randomBytes, randomUUIDv7 } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import type { Seal } from './sealed-secret.ts'
import { lockTenant } from './tenant-lock.ts'
import { isUuid } from './uuid.ts'

/** One that is in use, and one that takes over from it. */
const MAX_KEYS = 2
const KEY_BYTES = 32

export interface SigningKey {
  id: string
  createdAt: string
}

/** Makes a key of the tenant. Its text is in the answer and is not shown again. @throws CONFLICT when there are two */
export async function createSigningKey(
  db: Database,
  tenantId: number,
  seal: Seal,
): Promise<{ id: string; key: string }> {
  const id = randomUUIDv7()
  const key = randomBytes(KEY_BYTES)
  await db.transaction(async (sql) => {
    await lockTenant(sql, tenantId)
    const made = await sql.run(
      `insert into signing_key (id, tenant_id, secret)
       select $1, $2, $3 where (select count(*) from signing_key where tenant_id = $2) < $4`,
      [id, tenantId, seal.close(key, id), MAX_KEYS],
    )
    if (made === 0)
      throw new HoldfastError('CONFLICT', `There are ${MAX_KEYS} signing keys. Delete the older one first.`)
  })
  return { id, key: key.toString('base64url') }
}

export function listSigningKeys(sql: Sql, tenantId: number): Promise<SigningKey[]> {
  return sql.query<SigningKey>(
    'select id, created_at as "createdAt" from signing_key where tenant_id = $1 order by created_at, id',
    [tenantId],
  )
}

/** Answers whether the tenant had it. URLs that were signed with it are worth nothing from then on. */
export async function deleteSigningKey(sql: Sql, tenantId: number, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  return (await sql.run('delete from signing_key where tenant_id = $1 and id = $2', [tenantId, id])) > 0
}

/** Keys of the tenants that have restricted content, for gateways. One that was sealed with another key is left out. */
export async function readSigningKeys(sql: Sql, seal: Seal): Promise<{ tenant: number; key: string }[]> {
  const rows = await sql.query<{ id: string; tenant: number; secret: Buffer }>(
    `select id, tenant_id as tenant, secret from signing_key
     where tenant_id in (select tenant_id from access_rule) order by tenant_id, created_at, id`,
  )
  return rows.flatMap(({ id, tenant, secret }) => {
    try {
      return [{ tenant, key: seal.open(secret, id).toString('base64url') }]
    } catch {
      return []
    }
  })
}
