import { randomUUIDv7 } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { HoldfastError } from '../core/errors.ts'
import type { PinStatus } from '../core/pin.ts'
import type { Database, Sql } from './database.ts'
import { removeVersionPins } from './follows-pins.ts'

/** Follows of one tenant: each is resolved again and again. */
const MAX_FOLLOWS = 10_000

/** What a tenant asks for when it follows a name. */
export interface NewFollow {
  /** Canonical: a CIDv1 in base36, or a domain in lower case. */
  name: string
  /** Of the pins of versions that come from now on. */
  policy: string
  /** Versions that stay pinned, the present one among them. */
  keep: number
  everyMs: number
}

/** A followed name, with where it led to when it was last looked at. Times are text in UTC. */
export interface SavedFollow extends NewFollow {
  id: string
  createdAt: string
  target: string | null
  /** Root of the present version; version 1. */
  cid: CID | null
  checkedAt: string | null
  nextAt: string
  /** Why it could not be followed the last time. */
  problem: { code: string; message: string } | null
}

/** Columns of {@link FollowRow}, of `follow f`. */
export const FOLLOW_COLUMNS = `f.id, f.name, f.policy, f.keep, f.every_ms::float8 as "everyMs", f.created_at as "createdAt",
  f.target, f.cid, f.checked_at as "checkedAt", f.next_at as "nextAt", f.error_code as "errorCode", f.error`

export type FollowRow = Omit<SavedFollow, 'cid' | 'problem'> & {
  cid: Buffer | null
  errorCode: string | null
  error: string | null
}

export function followOf<Row extends FollowRow>({ cid, errorCode, error, ...row }: Row) {
  return {
    ...row,
    cid: cid === null ? null : CID.decode(cid),
    problem: errorCode === null ? null : { code: errorCode, message: error ?? '' },
  }
}

/**
 * Follows a name from now on, or changes how it is followed; it is looked at again at once.
 * @throws INSUFFICIENT_FUNDS when the tenant follows too many
 */
export async function putFollow(
  sql: Sql,
  tenantId: number,
  { name, policy, keep, everyMs }: NewFollow,
): Promise<{ follow: SavedFollow; created: boolean }> {
  const [row] = await sql.query<FollowRow & { created: boolean }>(
    `insert into follow as f (id, tenant_id, name, policy, keep, every_ms)
     select $1, $2, $3, $4, $5, $6
      where (select count(*) from follow where tenant_id = $2) < $7
         or exists (select from follow where tenant_id = $2 and name = $3)
     on conflict on constraint follow_of_tenant do update
       set policy = excluded.policy, keep = excluded.keep, every_ms = excluded.every_ms, next_at = now(), settle_at = now()
     returning ${FOLLOW_COLUMNS}, f.xmax = 0 as created`,
    [randomUUIDv7(), tenantId, name, policy, keep, everyMs, MAX_FOLLOWS],
  )
  if (row === undefined) throw new HoldfastError('INSUFFICIENT_FUNDS', `An account may follow ${MAX_FOLLOWS} names.`)
  const { created, ...follow } = row
  return { follow: followOf(follow), created }
}

export async function getFollow(sql: Sql, tenantId: number, name: string): Promise<SavedFollow | undefined> {
  const [row] = await sql.query<FollowRow>(
    `select ${FOLLOW_COLUMNS} from follow f where f.tenant_id = $1 and f.name = $2`,
    [tenantId, name],
  )
  return row && followOf(row)
}

/** A tenant's follows in the order of their names, after that one. */
export async function listFollows(
  sql: Sql,
  tenantId: number,
  { after, limit }: { after: string; limit: number },
): Promise<SavedFollow[]> {
  const rows = await sql.query<FollowRow>(
    `select ${FOLLOW_COLUMNS} from follow f where f.tenant_id = $1 and f.name > $2 order by f.name limit $3`,
    [tenantId, after, limit],
  )
  return rows.map(followOf)
}

/** Follows a name no more and removes the pins of its versions. Answers whether it was followed. */
export async function deleteFollow(db: Database, tenantId: number, name: string): Promise<boolean> {
  return await db.transaction(async (sql) => {
    const [follow] = await sql.query<{ id: string }>(
      'select id from follow where tenant_id = $1 and name = $2 for update',
      [tenantId, name],
    )
    if (follow === undefined) return false
    const pins = await sql.query<{ id: string }>('select pin_id as id from follow_version where follow_id = $1', [
      follow.id,
    ])
    await sql.run('delete from follow where id = $1', [follow.id])
    const ids = pins.map(({ id }) => id)
    await removeVersionPins(sql, tenantId, ids)
    return true
  })
}

/** A version that is kept, or about to be. */
export interface SavedVersion {
  /** Version 1. */
  cid: CID
  pinId: string
  /** Null: somebody removed the pin. */
  status: PinStatus | null
  /** When the name last began to lead there; null: it has not yet. */
  currentAt: string | null
}

/** A follow and its versions, the newest first, as they were at one moment. */
export async function getFollowWithVersions(
  db: Database,
  tenantId: number,
  name: string,
): Promise<{ follow: SavedFollow; versions: SavedVersion[] } | undefined> {
  return await db.transaction(async (sql) => {
    await sql.run('set transaction isolation level repeatable read, read only')
    const follow = await getFollow(sql, tenantId, name)
    return follow && { follow, versions: await listVersions(sql, follow.id) }
  })
}

/** The versions of a follow, the newest first. */
export async function listVersions(sql: Sql, followId: string): Promise<SavedVersion[]> {
  const rows = await sql.query<Omit<SavedVersion, 'cid'> & { cid: Buffer }>(
    `select v.cid, v.pin_id as "pinId", v.current_at as "currentAt", p.status
       from follow_version v
       join follow f on f.id = v.follow_id
       left join pin p on p.tenant_id = f.tenant_id and p.id = v.pin_id
      where v.follow_id = $1 order by v.current_at desc nulls first, v.cid`,
    [followId],
  )
  return rows.map(({ cid, ...version }) => ({ cid: CID.decode(cid), ...version }))
}
