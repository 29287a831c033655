import { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import { raiseEvent } from './events.ts'
import type { SavedGuard } from './guards.ts'
import { fence, type Leading } from './leases-fence.ts'
import { insertPins } from './pins-insert.ts'
import { removePins } from './pins-remove.ts'

/** A guard whose row is locked: it comes first in the order of locks, before the tenant's. */
export type HeldGuard = Pick<SavedGuard, 'id' | 'tenantId' | 'collection' | 'chainId' | 'address' | 'policy' | 'limits'>

/** Locks a guard; undefined when it is gone. */
export async function holdGuard(sql: Sql, guardId: string): Promise<HeldGuard | undefined> {
  const [row] = await sql.query<Omit<HeldGuard, 'limits'> & HeldGuard['limits']>(
    `select id, tenant_id as "tenantId", collection, chain_id as "chainId", address, policy,
            token_bytes::float8 as "tokenBytes", collection_bytes::float8 as "collectionBytes",
            day_bytes::float8 as "dayBytes"
       from guard where id = $1 for update`,
    [guardId],
  )
  if (row === undefined) return undefined
  const { tokenBytes, collectionBytes, dayBytes, ...guard } = row
  return { ...guard, limits: { tokenBytes, collectionBytes, dayBytes } }
}

/** Pins that are made together. */
const AT_ONCE = 500
/** What a limit holds back is tried again after so long. What is too large by itself is not, unless limits are changed. */
const REFUSED_FOR = `interval '1 hour'`

/**
 * Pins roots that versions of a guard need and no pin of it keeps; each is one pin, however many tokens share it.
 * @param cids only these; some of all when undefined
 * @returns how many pins were made
 */
export async function pinNeeds(sql: Sql, guard: HeldGuard, cids?: readonly Buffer[]): Promise<number> {
  if (cids === undefined) return await pinSome(sql, guard, undefined)
  let pinned = 0
  for (let from = 0; from < cids.length; from += AT_ONCE) {
    pinned += await pinSome(sql, guard, cids.slice(from, from + AT_ONCE))
  }
  return pinned
}

async function pinSome(sql: Sql, guard: HeldGuard, cids: readonly Buffer[] | undefined): Promise<number> {
  const needed = await sql.query<{ cid: Buffer; isFolder: boolean; tokens: number }>(
    `select n.cid, bool_or(n.is_folder) as "isFolder", count(distinct v.token_id)::float8 as tokens
       from guard_need n
       join guard_uri v on v.id = n.uri_id
       left join guard_pin g on g.guard_id = n.guard_id and g.cid = n.cid
       left join pin p on p.tenant_id = $2 and p.id = g.pin_id
      where n.guard_id = $1 and p.id is null and ($3::bytea[] is null or n.cid = any ($3))
        and (g.refusal is null or (g.refusal <> 'tokenBytes' and g.made_at < now() - ${REFUSED_FOR}))
      group by n.cid order by min(n.uri_id) limit ${AT_ONCE}`,
    [guard.id, guard.tenantId, cids ?? null],
  )
  if (needed.length === 0) return 0
  const room = await roomOf(sql, guard)
  const limit = room.collection <= 0 ? 'collectionBytes' : room.day <= 0 ? 'dayBytes' : undefined
  const answers = limit === undefined ? await insertPins(sql, guard.tenantId, needed.map(wantedPin)) : []
  const rows = needed.map(({ cid }, index) => {
    const answer = answers[index]
    const refusal = answer instanceof HoldfastError ? REFUSALS[answer.code] : limit
    return { cid, pinId: answer instanceof HoldfastError ? undefined : answer?.id, refusal }
  })
  await sql.run(
    `insert into guard_pin as g (guard_id, cid, pin_id, refusal)
     select $1, made.* from unnest($2::bytea[], $3::uuid[], $4::text[]) as made
     on conflict (guard_id, cid) do update
       set pin_id = excluded.pin_id, refusal = excluded.refusal, made_at = now(), is_missing = false`,
    [guard.id, rows.map(({ cid }) => cid), rows.map((row) => row.pinId), rows.map(({ refusal }) => refusal)],
  )
  const refused = rows.filter(({ pinId }) => pinId === undefined)
  if (refused.length > 0) await limitGuard(sql, guard, refused[0]?.refusal ?? 'account', refused.length)
  else {
    await sql.run(
      `update guard set limited_at = null
        where id = $1 and limited_at is not null
          and not exists (select from guard_pin where guard_id = $1 and refusal is not null)`,
      [guard.id],
    )
  }
  return rows.length - refused.length

  function wantedPin({ cid, isFolder, tokens }: (typeof needed)[number]) {
    const root = CID.decode(cid)
    const own = isFolder ? Number.POSITIVE_INFINITY : guard.limits.tokenBytes * Math.max(1, tokens)
    const maxBytes = Math.floor(Math.min(own, room.collection, room.day))
    const meta = { guard: guard.collection }
    const { policy } = guard
    return { pin: { cid: root, cidText: cidKey(root), name: guard.collection, policy, maxBytes, meta } }
  }
}

const REFUSALS: Partial<Record<string, string>> = { INSUFFICIENT_FUNDS: 'account', BAD_REQUEST: 'policy' }

/** Bytes of a pin: as measured, or as many as a node has by now. */
const PIN_BYTES = `coalesce(c.bytes, (select max(r.done_bytes) from replica r where r.content_id = c.id), 0)::float8`

/** What a guard may still pin, in bytes. */
async function roomOf(sql: Sql, { id, tenantId, limits }: HeldGuard): Promise<{ collection: number; day: number }> {
  const [used] = await sql.query<{ all: number; day: number }>(
    `select coalesce(sum(${PIN_BYTES}), 0) as all,
            coalesce(sum(${PIN_BYTES}) filter (where g.made_at > now() - interval '1 day'), 0) as day
       from guard_pin g join pin p on p.tenant_id = $2 and p.id = g.pin_id join content c on c.id = p.content_id
      where g.guard_id = $1`,
    [id, tenantId],
  )
  return { collection: limits.collectionBytes - (used?.all ?? 0), day: limits.dayBytes - (used?.day ?? 0) }
}

/** Tells once that a limit holds back pins, until none is held back any more. */
async function limitGuard(sql: Sql, { id, tenantId, collection }: HeldGuard, limit: string, pins: number) {
  const told = await sql.run('update guard set limited_at = now() where id = $1 and limited_at is null', [id])
  if (told > 0) await raiseEvent(sql, tenantId, { type: 'guard.limit', subject: collection, data: { limit, pins } })
}

/**
 * Makes the pins that a guard still lacks, where its limits have room again; and takes those back that are not whole yet when
 * what is pinned has grown over a limit meanwhile.
 * @returns pins made, or taken back
 * @throws CONFLICT
 */
export async function tendPins(db: Database, leading: Leading, guardId: string): Promise<number> {
  return await db.transaction(async (sql) => {
    await fence(sql, leading)
    const guard = await holdGuard(sql, guardId)
    if (guard === undefined) return 0
    await tellMissing(sql, guard)
    const { collection, day } = await roomOf(sql, guard)
    if (collection >= 0 && day >= 0) return await pinNeeds(sql, guard)
    return await takeBack(sql, guard, collection < 0 ? 'collectionBytes' : 'dayBytes', -Math.min(collection, day))
  })
}

/** Takes back the newest pins that are not pinned yet, until so many bytes are free. */
async function takeBack(sql: Sql, guard: HeldGuard, limit: string, bytes: number): Promise<number> {
  const open = await sql.query<{ cid: Buffer; pinId: string; bytes: number }>(
    `select g.cid, g.pin_id as "pinId", ${PIN_BYTES} as bytes
       from guard_pin g join pin p on p.tenant_id = $2 and p.id = g.pin_id join content c on c.id = p.content_id
      where g.guard_id = $1 and p.status <> 'pinned' order by g.made_at desc, g.cid limit ${AT_ONCE}`,
    [guard.id, guard.tenantId],
  )
  let left = bytes
  const taken = open.filter((pin) => {
    if (left <= 0 || pin.bytes === 0) return false
    left -= pin.bytes
    return true
  })
  if (taken.length === 0) return 0
  await refuse(sql, guard, limit, taken)
  return taken.length
}

/** Removes pins of a guard because of a limit. */
async function refuse(
  sql: Sql,
  guard: HeldGuard,
  limit: string,
  pins: readonly { cid: Buffer; pinId: string }[],
): Promise<void> {
  await sql.run(
    `update guard_pin set pin_id = null, refusal = $3, made_at = now() where guard_id = $1 and cid = any ($2)`,
    [guard.id, pins.map(({ cid }) => cid), limit],
  )
  const ids = pins.map(({ pinId }) => pinId)
  await removePins(sql, guard.tenantId, ids, 'all')
  await limitGuard(sql, guard, limit, pins.length)
}

/** Tells once of each pin that has failed because no copy is found, and takes those back that are larger than they may be. */
async function tellMissing(sql: Sql, guard: HeldGuard): Promise<void> {
  const { id, tenantId, collection } = guard
  const failed = await sql.query<{ cid: Buffer; pinId: string; isLarge: boolean; reason: string | null }>(
    `update guard_pin g set is_missing = true
       from pin p join content c on c.id = p.content_id
      where g.guard_id = $1 and p.tenant_id = $2 and p.id = g.pin_id and p.status = 'failed' and not g.is_missing
     returning g.cid, g.pin_id as "pinId", c.given_up as reason,
               coalesce(c.bytes > p.max_bytes or c.given_up_code in ('DAG_TOO_LARGE', 'PAYLOAD_TOO_LARGE'), false)
                 as "isLarge"`,
    [id, tenantId],
  )
  const large = failed.filter(({ isLarge }) => isLarge)
  if (large.length > 0) await refuse(sql, guard, 'tokenBytes', large)
  for (const { cid, isLarge, reason } of failed) {
    if (isLarge) continue
    const data = { cid: cidKey(CID.decode(cid)), reason }
    await raiseEvent(sql, tenantId, { type: 'asset.missing', subject: collection, data })
  }
  await sql.run(
    `update guard_pin g set is_missing = false
       from pin p where g.guard_id = $1 and g.is_missing and p.tenant_id = $2 and p.id = g.pin_id and p.status = 'pinned'`,
    [id, tenantId],
  )
}

/** Guards that have versions whose time is over. */
export async function guardsToRelease(sql: Sql, chainId: string): Promise<string[]> {
  const rows = await sql.query<{ id: string }>(
    `select distinct v.guard_id as id from guard_uri v join guard g on g.id = v.guard_id
      where g.chain_id = $1 and v.keep_until <= now() and v.released_at is null and v.superseded_at is not null`,
    [chainId],
  )
  return rows.map(({ id }) => id)
}

/**
 * Gives up what versions need whose time is over, and removes the pins that no version needs any more. Pins of others, and
 * those that the account made itself, are other pins.
 * @returns how many pins were removed
 * @throws CONFLICT
 */
export async function releaseVersionsOf(db: Database, leading: Leading, guardId: string): Promise<number> {
  return await db.transaction(async (sql) => {
    await fence(sql, leading)
    const guard = await holdGuard(sql, guardId)
    if (guard === undefined) return 0
    await sql.run(
      `with over as (
         update guard_uri set released_at = now(), content_due_at = null
          where guard_id = $1 and keep_until <= now() and released_at is null and superseded_at is not null
         returning id)
       delete from guard_need n using over where n.uri_id = over.id`,
      [guardId],
    )
    const unneeded = await sql.query<{ pinId: string | null }>(
      `delete from guard_pin g
        where g.guard_id = $1
          and not exists (select from guard_need n where n.guard_id = g.guard_id and n.cid = g.cid)
        returning g.pin_id as "pinId"`,
      [guardId],
    )
    const pins = unneeded.flatMap(({ pinId }) => pinId ?? [])
    if (pins.length > 0) await removePins(sql, guard.tenantId, pins, 'all')
    return pins.length
  })
}
