import { HoldfastError } from '../core/errors.ts'
import { contentKey, dropReferences, lockContentIds, makeContents } from './content-references.ts'
import type { Database, Sql } from './database.ts'
import { insertPins } from './pins-insert.ts'
import { deleteRows, ownClaim, replacedClaim } from './pins-remove.ts'
import type { NewPin, PinRow } from './pins.ts'
import { lockTenant } from './tenant-lock.ts'
import { isUuid } from './uuid.ts'
import { RECONCILE, type Wakes } from './wake.ts'

/**
 * Puts a new pin in the place of one: the old id is gone at once, and what it wanted is kept until the new pin is
 * `pinned`, or for a day after it failed. Needs no room in the quota.
 * @returns undefined when the tenant has no such pin
 * @throws BAD_REQUEST for an unknown policy, and then the old pin stays; UNAVAILABLE
 */
export async function replacePin(
  db: Database,
  tenantId: number,
  id: string,
  pin: NewPin,
  wakes?: Wakes,
): Promise<PinRow | undefined> {
  if (!isUuid(id)) return undefined
  const row = await db.transaction((sql) => replaceWithin(sql, tenantId, id, pin))
  if (row !== undefined) wakes?.announce(RECONCILE)
  return row
}

async function replaceWithin(sql: Sql, tenantId: number, id: string, pin: NewPin): Promise<PinRow | undefined> {
  await lockTenant(sql, tenantId)
  await lockAll(sql, tenantId, id, pin)
  const [old] = await deleteRows(sql, tenantId, [id], 'all')
  if (old === undefined) return undefined
  // What was last whole stays: a pin that itself waits in the place of another passes that claim on and drops its own.
  const kept = replacedClaim(old)
  const [row] = await insertPins(sql, tenantId, [{ pin, replaces: kept ?? ownClaim(old) }])
  if (row instanceof HoldfastError) throw row
  if (kept !== undefined) await dropReferences(sql, [ownClaim(old)])
  return row
}

/** All contents in one go: the new one after the old ones would not be in the order of locks. */
async function lockAll(sql: Sql, tenantId: number, id: string, { cid }: NewPin): Promise<void> {
  const key = Buffer.from(contentKey(cid), 'base64')
  await makeContents(sql, [key])
  const contents = await sql.prepared<{ id: string }>(
    'contents-of-replacement',
    `select id from content where cid = $3
     union select content_id from pin where tenant_id = $1 and id = $2
     union select replaces_content_id from pin where tenant_id = $1 and id = $2 and replaces_content_id is not null`,
    [tenantId, id, key],
  )
  await lockContentIds(
    sql,
    contents.map(({ id }) => id),
  )
}
