import { HOUR_MS } from '../core/units.ts'
import { dropReferences, lockContentIds, type Reference } from './content-references.ts'
import type { Database, Sql } from './database.ts'
import { lockTenant } from './tenant-lock.ts'
import { isUuid } from './uuid.ts'

/**
 * Removes a pin, in whatever state. What no pin wants any more is collected after the grace time.
 * Answers whether there was such a pin; doing it again changes nothing.
 */
export async function deletePin(db: Database, tenantId: number, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  return (await db.transaction((sql) => removePins(sql, tenantId, [id], 'all'))) > 0
}

/** Removes pins whose time is over, by the database's clock. Answers how many; as many as `limit` means there may be more. */
export async function expirePins(db: Database, limit: number): Promise<number> {
  const rows = await db.query<{ tenantId: number; id: string }>(
    'select tenant_id as "tenantId", id from pin where expires_at <= now() order by expires_at limit $1',
    [limit],
  )
  let removed = 0
  for (const [tenantId, pins] of Map.groupBy(rows, (row) => row.tenantId)) {
    const ids = pins.map(({ id }) => id)
    removed += await db.transaction((sql) => removePins(sql, tenantId, ids, 'expired'))
  }
  return removed
}

interface Claims {
  content_id: string
  policy_id: number
  replaces_content_id: string | null
  replaces_policy_id: number | null
}

/** Removes the tenant's pins within the transaction, with the claims they hold. Answers how many there were. */
export async function removePins(
  sql: Sql,
  tenantId: number,
  ids: readonly string[],
  which: 'all' | 'expired',
): Promise<number> {
  await lockTenant(sql, tenantId)
  const removed = await deleteRows(sql, tenantId, ids, which)
  if (removed.length === 0) return 0
  await sql.prepared('uncount-pins', 'update tenant_usage set pins = pins - $2 where tenant_id = $1', [
    tenantId,
    removed.length,
  ])
  await dropReferences(sql, removed.flatMap(claimsOf))
  return removed.length
}

/** Deletes pins of a tenant that is locked, and locks what they wanted. The caller drops, or passes on, their claims. */
export async function deleteRows(
  sql: Sql,
  tenantId: number,
  ids: readonly string[],
  which: 'all' | 'expired',
): Promise<Claims[]> {
  const wanted = await sql.prepared<{ id: string }>(
    'contents-of-pins',
    `select content_id as id from pin where tenant_id = $1 and id = any ($2)
     union select replaces_content_id from pin where tenant_id = $1 and id = any ($2) and replaces_content_id is not null`,
    [tenantId, ids],
  )
  if (wanted.length === 0) return []
  await lockContentIds(
    sql,
    wanted.map(({ id }) => id),
  )
  return sql.prepared<Claims>(
    'delete-pins',
    `delete from pin where tenant_id = $1 and id = any ($2) and ($3 = 'all' or expires_at <= now())
     returning content_id, policy_id, replaces_content_id, replaces_policy_id`,
    [tenantId, ids, which],
  )
}

function claimsOf(pin: Claims): Reference[] {
  const replaced = replacedClaim(pin)
  return [ownClaim(pin), ...(replaced === undefined ? [] : [replaced])]
}

export function ownClaim(pin: Claims): Reference {
  return { contentId: pin.content_id, policyId: pin.policy_id }
}

/** The claim that the pin still holds for the one it replaced. */
export function replacedClaim(pin: Claims): Reference | undefined {
  if (pin.replaces_content_id === null || pin.replaces_policy_id === null) return undefined
  return { contentId: pin.replaces_content_id, policyId: pin.replaces_policy_id }
}

/** How long a replaced content is kept after its replacement failed. */
const KEPT_AFTER_FAILURE_MS = 24 * HOUR_MS

/**
 * Drops the claims on contents whose replacement is pinned, or failed a day ago. Answers how many; as many as `limit`
 * means there may be more.
 */
export async function releaseReplaced(db: Database, limit: number): Promise<number> {
  const due = `replaces_content_id is not null and (status = 'pinned'
    or (status = 'failed' and status_at <= now() - make_interval(secs => $1 / 1000.0)))`
  return db.transaction(async (sql) => {
    const contents = await sql.query<{ id: string }>(
      `select replaces_content_id as id from pin where ${due} limit $2`,
      [KEPT_AFTER_FAILURE_MS, limit],
    )
    if (contents.length === 0) return 0
    const ids = contents.map(({ id }) => id)
    await lockContentIds(sql, ids)
    const released = await sql.query<{ contentId: string; policyId: number }>(
      `with due as (select tenant_id, id, replaces_content_id, replaces_policy_id from pin
                    where ${due} and replaces_content_id = any ($2) order by tenant_id, id for no key update)
       update pin p set replaces_content_id = null, replaces_policy_id = null
       from due where p.tenant_id = due.tenant_id and p.id = due.id
       returning due.replaces_content_id as "contentId", due.replaces_policy_id as "policyId"`,
      [KEPT_AFTER_FAILURE_MS, ids],
    )
    await dropReferences(sql, released)
    return released.length
  })
}
