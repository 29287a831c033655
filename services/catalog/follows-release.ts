import type { PinStatus } from '../core/pin.ts'
import type { Database, Sql } from './database.ts'
import { removeVersionPins } from './follows-pins.ts'

/** Time to publish a version that was reserved; once it is published it stays reserved until a look has seen it. */
const RESERVED_MS = 600_000
/** How long it takes at most until a version that is not pinned yet is looked at again. */
const LONGEST_PAUSE_MS = 3_600_000

/** A version as the decision sees it. */
export interface JudgedVersion {
  /** Null: somebody removed the pin. */
  status: PinStatus | null
  /** The name leads there. */
  isCurrent: boolean
  /** The name has led there. */
  wasCurrent: boolean
  /** Somebody is about to publish it, or has and no look has seen it yet. */
  isReserved: boolean
}

/**
 * What of a name's versions is not wanted any more. An older version is kept while fewer than `keep` that are newer are
 * pinned: the present one counts from the moment it is pinned, so that nothing goes before its successor is safe.
 * @param versions the newest first
 */
export function versionsToRelease<Version extends JudgedVersion>(
  versions: readonly Version[],
  keep: number,
): Version[] {
  let pinned = versions.filter(({ isCurrent, status }) => isCurrent && status === 'pinned').length
  const released: Version[] = []
  for (const version of versions) {
    const { status, isCurrent, isReserved, wasCurrent } = version
    if (isCurrent || isReserved) continue
    if (!wasCurrent || status === null || status === 'failed' || pinned >= keep) released.push(version)
    else if (status === 'pinned') pinned++
  }
  return released
}

/**
 * Removes pins of versions that were superseded and are not wanted any more, of as many follows as `limit`.
 * @param pauseMs until a follow whose present version is not pinned yet is looked at again, at least
 * @returns how many follows were looked at, and how many pins were removed
 */
export async function releaseVersions(
  db: Database,
  { limit, pauseMs }: { limit: number; pauseMs: number },
): Promise<{ looked: number; released: number }> {
  const due = await db.query<{ id: string }>(
    'select id from follow where settle_at <= now() order by settle_at limit $1',
    [limit],
  )
  let released = 0
  for (const { id } of due) released += await db.transaction((sql) => releaseOf(sql, id, pauseMs))
  return { looked: due.length, released }
}

interface HeldFollow {
  tenantId: number
  keep: number
}

async function releaseOf(sql: Sql, followId: string, pauseMs: number): Promise<number> {
  const [follow] = await sql.query<HeldFollow>(
    `select tenant_id as "tenantId", keep from follow where id = $1 and settle_at <= now() for update skip locked`,
    [followId],
  )
  if (follow === undefined) return 0
  const versions = await sql.query<JudgedVersion & { cid: Buffer; pinId: string }>(
    `select v.cid, v.pin_id as "pinId", p.status, v.current_at is not null as "wasCurrent",
            v.cid is not distinct from f.cid as "isCurrent",
            coalesce(v.current_at >= v.reserved_at or v.reserved_at > now() - make_interval(secs => $2 / 1000.0), false)
              as "isReserved"
       from follow_version v
       join follow f on f.id = v.follow_id
       left join pin p on p.tenant_id = f.tenant_id and p.id = v.pin_id
      where v.follow_id = $1 order by v.current_at desc nulls last`,
    [followId, RESERVED_MS],
  )
  const unwanted = versionsToRelease(versions, follow.keep)
  await sql.run('delete from follow_version where follow_id = $1 and cid = any ($2)', [
    followId,
    unwanted.map(({ cid }) => cid),
  ])
  const left = versions.filter((version) => !unwanted.includes(version))
  const isSettled = left.every(({ status, isReserved }) => status === 'pinned' && !isReserved)
  await sql.run(
    `update follow set settle_at = case when not $2 then now() + make_interval(secs => least($4, greatest($3,
       extract(epoch from now() - (select max(current_at) from follow_version where follow_id = $1)) * 250)) / 1000.0) end
      where id = $1`,
    [followId, isSettled, pauseMs, LONGEST_PAUSE_MS],
  )
  const pins = unwanted.map(({ pinId }) => pinId)
  await removeVersionPins(sql, follow.tenantId, pins)
  return pins.length
}
