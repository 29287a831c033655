import type { Sql } from './database.ts'
import { removePins } from './pins-remove.ts'
import { lockTenant } from './tenant-lock.ts'

/**
 * Removes pins of versions that are not kept any more, within the transaction that has dropped these. A pin that another
 * version of the tenant names stays: it may be the live one of another site.
 */
export async function removeVersionPins(sql: Sql, tenantId: number, pinIds: readonly string[]): Promise<void> {
  if (pinIds.length === 0) return
  // Nobody names one of them from here on.
  await lockTenant(sql, tenantId)
  const free = await sql.query<{ id: string }>(
    `select dropped.id from unnest($2::uuid[]) as dropped (id)
      where not exists (select from follow f join follow_version v on v.follow_id = f.id
                         where f.tenant_id = $1 and v.pin_id = dropped.id)`,
    [tenantId, pinIds],
  )
  await removePins(
    sql,
    tenantId,
    free.map(({ id }) => id),
    'all',
  )
}
