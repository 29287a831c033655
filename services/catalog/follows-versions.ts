import type { CID } from 'multiformats/cid'
import { toV1 } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import { raiseEvent } from './events.ts'
import { HASTENED, type DueFollow } from './follows-due.ts'
import { insertPins } from './pins-insert.ts'
import { removeVersionPins } from './follows-pins.ts'
import { getPin, type PinRow } from './pins.ts'
import { lockTenant } from './tenant-lock.ts'

/** Where a followed name was found to lead to. */
export interface SeenVersion {
  /** Content path that the name leads to. */
  target: string
  root: CID
  /** Of an IPNS name: its newest record. */
  record: Uint8Array | undefined
}

/**
 * Notes where a name leads to, and pins that by the follow's policy unless it is pinned for it already. Older versions stay
 * until the new one is pinned. When somebody else has looked meanwhile, who may have seen a later state, nothing is noted
 * and the name is due again.
 * @param follow as it was before the look
 * @returns whether a pin was made
 * @throws what making a pin throws; then nothing is noted
 */
export async function seeVersion(db: Database, follow: DueFollow, found: SeenVersion): Promise<boolean> {
  return await db.transaction(async (sql) => {
    const { id, tenantId, checkedAt } = follow
    const held = await holdFollow(sql, tenantId, id)
    if (held === undefined) return false
    if (held.checkedAt === checkedAt) return await noteVersion(sql, tenantId, held, found)
    await sql.run('update follow set next_at = now() where id = $1', [id])
    return false
  })
}

async function noteVersion(
  sql: Sql,
  tenantId: number,
  follow: HeldFollow,
  { target, root, record }: SeenVersion,
): Promise<boolean> {
  const cid = Buffer.from(toV1(root).bytes)
  const kept = await keptPin(sql, tenantId, follow.id, cid)
  const pinId = kept ?? (await pinFor(sql, tenantId, follow, root))
  const isNew = follow.cid === null || !follow.cid.equals(cid)
  await sql.run(
    `insert into follow_version as v (follow_id, cid, pin_id, current_at) values ($1, $2, $3, clock_timestamp())
     on conflict (follow_id, cid) do update
       set pin_id = excluded.pin_id,
           current_at = case when $4 or v.current_at is null then clock_timestamp() else v.current_at end`,
    [follow.id, cid, pinId, isNew],
  )
  await sql.run('update follow_version set reserved_at = null where follow_id = $1 and current_at >= reserved_at', [
    follow.id,
  ])
  await sql.run(
    `update follow set target = $2, cid = $3, record = coalesce($4, record), checked_at = clock_timestamp(),
            error_code = null, error = null, settle_at = case when $5 then now() else settle_at end
      where id = $1`,
    [follow.id, target, cid, record === undefined ? null : Buffer.from(record), isNew || kept === undefined],
  )
  if (isNew) {
    const data = { value: target, cid: root.toString(), requestid: pinId }
    await raiseEvent(sql, tenantId, { type: 'follow.changed', subject: follow.name, data })
  }
  return kept === undefined
}

/**
 * Keeps a version that is about to be published by the tenant, with a pin that it has made for it. The pin belongs to the
 * follow from then on, and goes with the version.
 * @throws NOT_FOUND when the tenant does not have the follow or the pin any more
 */
export async function reserveVersion(
  db: Database,
  tenantId: number,
  followId: string,
  { id: pinId, contentId }: Pick<PinRow, 'id' | 'contentId'>,
): Promise<void> {
  await db.transaction(async (sql) => {
    const follow = await holdFollow(sql, tenantId, followId)
    // Whoever removes pins of other versions sees that this one is named, or it is gone here.
    await lockTenant(sql, tenantId)
    const pin = await getPin(sql, tenantId, pinId)
    const [content] = await sql.query<{ cid: Buffer }>('select cid from content where id = $1', [contentId])
    if (follow === undefined || pin === undefined || content === undefined) {
      throw new HoldfastError('NOT_FOUND', 'There is no such pin.')
    }
    const former = await keptPin(sql, tenantId, followId, content.cid)
    await sql.run(
      `insert into follow_version (follow_id, cid, pin_id, reserved_at) values ($1, $2, $3, clock_timestamp())
       on conflict (follow_id, cid) do update set pin_id = excluded.pin_id, reserved_at = excluded.reserved_at`,
      [followId, content.cid, pinId],
    )
    await sql.run('update follow set settle_at = coalesce(settle_at, now()) where id = $1', [followId])
    if (former !== undefined && former !== pinId) await removeVersionPins(sql, tenantId, [former])
  })
}

/**
 * Notes that a reserved version was published. Looks that are under way are void: they may have seen the one before. The
 * next look finds it, and gives the reservation up.
 */
export async function notePublished(
  db: Database,
  tenantId: number,
  followId: string,
  { id: pinId }: Pick<PinRow, 'id'>,
): Promise<void> {
  await db.transaction(async (sql) => {
    await holdFollow(sql, tenantId, followId)
    await sql.run('update follow_version set current_at = clock_timestamp() where follow_id = $1 and pin_id = $2', [
      followId,
      pinId,
    ])
    await sql.run(`update follow set checked_at = clock_timestamp(), next_at = ${HASTENED} where id = $1`, [followId])
  })
}

interface HeldFollow {
  id: string
  name: string
  policy: string
  cid: Buffer | null
  checkedAt: string | null
}

/** The follow comes first in the order of locks. */
async function holdFollow(sql: Sql, tenantId: number, followId: string): Promise<HeldFollow | undefined> {
  const [follow] = await sql.query<HeldFollow>(
    `select id, name, policy, cid, checked_at as "checkedAt" from follow where tenant_id = $1 and id = $2 for update`,
    [tenantId, followId],
  )
  return follow
}

/** The pin of that version, unless somebody removed it. */
async function keptPin(sql: Sql, tenantId: number, followId: string, cid: Buffer): Promise<string | undefined> {
  const [version] = await sql.query<{ id: string }>(
    `select p.id from follow_version v join pin p on p.tenant_id = $1 and p.id = v.pin_id
      where v.follow_id = $2 and v.cid = $3`,
    [tenantId, followId, cid],
  )
  return version?.id
}

async function pinFor(sql: Sql, tenantId: number, { name, policy }: HeldFollow, cid: CID): Promise<string> {
  const [row] = await insertPins(sql, tenantId, [{ pin: { cid, cidText: cid.toString(), name, policy } }])
  if (row === undefined || row instanceof HoldfastError) throw row ?? new HoldfastError('UNAVAILABLE', 'Try again.')
  return row.id
}
