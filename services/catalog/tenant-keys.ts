import { randomBytes } from 'node:crypto'
import { hasCode, HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import type { MasterKeys } from './master-key.ts'
import { sealUnder, type Seal } from './sealed-secret.ts'

const KEY_BYTES = 32
/** Keys that are wrapped anew before the next are looked for. */
const SLICE = 100

interface WrappedKey {
  wrapped: Buffer
  master: string
}

/**
 * Lends the seal of a tenant's secrets. Its key is unwrapped for the time of `use` and overwritten after it; a tenant
 * without one gets one.
 * @throws UNAVAILABLE when no master key of this process unwraps it, or the service that has it is away
 */
export async function withTenantSeal<T>(
  sql: Sql,
  masters: MasterKeys,
  tenantId: number,
  use: (seal: Seal) => T | Promise<T>,
): Promise<T> {
  const stored = (await read(sql, tenantId)) ?? (await make(sql, masters, tenantId))
  const key = await unwrap(masters, tenantId, stored)
  try {
    return await use(sealUnder(key))
  } finally {
    key.fill(0)
  }
}

/**
 * Wraps every tenant's key by the first master key, of which one that comes after it can then be forgotten. What the keys
 * seal stays as it is. Harmless while other processes read and make keys. One that cannot be unwrapped holds up no other.
 * @returns how many were wrapped anew
 * @throws UNAVAILABLE at the end, when some could not be
 */
export async function rewrapTenantKeys(db: Database, masters: MasterKeys): Promise<number> {
  const [current] = masters
  let count = 0
  let failure: unknown
  for (let after = 0; ;) {
    const rows = await db.query<WrappedKey & { tenantId: number }>(
      `select tenant_id as "tenantId", wrapped, master from tenant_key
        where master <> $1 and tenant_id > $2 order by tenant_id limit $3`,
      [current.id, after, SLICE],
    )
    for (const row of rows) {
      try {
        count += await rewrap(db, masters, row)
      } catch (error) {
        if (!hasCode(error, 'UNAVAILABLE')) throw error
        failure ??= error
      }
    }
    const last = rows.at(-1)
    if (last === undefined) break
    after = last.tenantId
  }
  if (failure !== undefined) throw failure as HoldfastError
  return count
}

async function rewrap(
  db: Database,
  masters: MasterKeys,
  { tenantId, ...stored }: WrappedKey & { tenantId: number },
): Promise<number> {
  const [current] = masters
  const key = await unwrap(masters, tenantId, stored)
  const wrapped = await current.wrap(key, about(tenantId)).finally(() => key.fill(0))
  return await db.run('update tenant_key set wrapped = $2, master = $3 where tenant_id = $1 and master = $4', [
    tenantId,
    wrapped,
    current.id,
    stored.master,
  ])
}

async function read(sql: Sql, tenantId: number): Promise<WrappedKey | undefined> {
  const [row] = await sql.query<WrappedKey>('select wrapped, master from tenant_key where tenant_id = $1', [tenantId])
  return row
}

/** Of two that are made at once the first stays. */
async function make(sql: Sql, [current]: MasterKeys, tenantId: number): Promise<WrappedKey> {
  const key = randomBytes(KEY_BYTES)
  const wrapped = await current.wrap(key, about(tenantId)).finally(() => key.fill(0))
  await sql.run('insert into tenant_key (tenant_id, wrapped, master) values ($1, $2, $3) on conflict do nothing', [
    tenantId,
    wrapped,
    current.id,
  ])
  const stored = await read(sql, tenantId)
  if (stored === undefined) throw new HoldfastError('NOT_FOUND', 'There is no such account.')
  return stored
}

async function unwrap(masters: MasterKeys, tenantId: number, { wrapped, master }: WrappedKey): Promise<Buffer> {
  const owner = masters.find(({ id }) => id === master)
  if (owner === undefined) throw locked()
  try {
    return await owner.unwrap(wrapped, about(tenantId))
  } catch (cause) {
    throw hasCode(cause, 'UNAVAILABLE') ? cause : locked(cause)
  }
}

function about(tenantId: number): string {
  return `tenant ${tenantId}`
}

function locked(cause?: unknown): HoldfastError {
  return new HoldfastError('UNAVAILABLE', 'The keys of this account cannot be opened with the present master key.', {
    cause,
  })
}
