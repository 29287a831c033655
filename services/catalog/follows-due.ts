import type { Sql } from './database.ts'
import { FOLLOW_COLUMNS, followOf, type FollowRow, type SavedFollow } from './follows.ts'

/** A follow whose name is to be resolved now. */
export interface DueFollow extends SavedFollow {
  tenantId: number
  /** The newest record of the name that was seen. */
  record: Buffer | null
}

/** Follows of what was published here are due since then: before all that have waited for their time. */
export const HASTENED = `'epoch'::timestamptz`

/**
 * Takes follows that are due, those first that were hastened. Each is given to one process, and comes back after its time
 * whatever becomes of it: a process that dies loses nothing.
 * @param hastenedOnly no others: they may each take long
 */
export async function takeDueFollows(
  sql: Sql,
  { limit, hastenedOnly }: { limit: number; hastenedOnly: boolean },
): Promise<DueFollow[]> {
  const rows = await sql.query<FollowRow & { tenantId: number; record: Buffer | null }>(
    `with due as (
       select id from follow where next_at <= ${hastenedOnly ? HASTENED : 'now()'} order by next_at limit $1 for update skip locked)
     update follow f set next_at = now() + make_interval(secs => f.every_ms / 1000.0) from due where f.id = due.id
     returning ${FOLLOW_COLUMNS}, f.tenant_id as "tenantId", f.record`,
    [limit],
  )
  return rows.map(followOf)
}

/**
 * Notes why a name could not be followed, and tells its owner when it could be the last time. What is pinned of it stays.
 * @returns whether the owner is told
 */
export async function noteFollowProblem(
  sql: Sql,
  followId: string,
  { code, message }: { code: string; message: string },
): Promise<boolean> {
  const told = await sql.query(
    `with held as (select id, error_code from follow where id = $1 for update),
     noted as (
       update follow f set checked_at = clock_timestamp(), error_code = $2, error = $3 from held
        where f.id = held.id returning f.tenant_id, f.name, f.target, held.error_code is null as is_news)
     insert into event (tenant_id, type, subject, data)
     select tenant_id, 'follow.failing', name,
            jsonb_build_object('value', target, 'problem', jsonb_build_object('code', $2::text, 'message', $3::text))
       from noted where is_news
     returning id`,
    [followId, code, message],
  )
  return told.length > 0
}

/**
 * Lets follows of names come first of which records were published here.
 * @param after version of the feed up to which that was done
 * @returns the version up to which it is done now
 */
export async function hastenFollows(sql: Sql, after: string): Promise<string> {
  const [feed] = await sql.query<{ version: string }>('select version from name_feed')
  const version = feed?.version ?? after
  if (version === after) return after
  await sql.run(
    `update follow f set next_at = ${HASTENED} from ipns_name i
      where i.version > $1 and i.version <= $2 and f.name = i.name and f.next_at > ${HASTENED}
        and f.record is distinct from i.record`,
    [after, version],
  )
  return version
}

/** What the catalog knows of an IPNS name. */
export interface KnownRecord {
  record: Buffer | null
  /** Its key is here: nobody else can know a newer record. */
  isHosted: boolean
}

export async function readKnownRecord(sql: Sql, name: string): Promise<KnownRecord | undefined> {
  const [row] = await sql.query<KnownRecord>(
    'select record, sign_at is not null as "isHosted" from ipns_name where name = $1',
    [name],
  )
  return row
}
