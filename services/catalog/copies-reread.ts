import type { CID } from 'multiformats/cid'
import { toV1 } from '../core/cid.ts'
import type { Sql } from './database.ts'

export interface RereadWish {
  /** Whose pins. */
  tenantId: number
  /** Since when copies must have been read back: text in UTC. */
  since: string
  /** So long after that nobody is waited for. */
  longestMs: number
}

/**
 * Has the verified copies of what an account pins of these roots read back from their disks by the nodes that are not down,
 * unless that has happened since. A copy that turns out to be damaged is verified no more, and is made whole.
 * @returns how many are waited for
 */
export async function rereadCopies(
  sql: Sql,
  { tenantId, since, longestMs }: RereadWish,
  cids: readonly CID[],
): Promise<number> {
  if (cids.length === 0) return 0
  const [row] = await sql.query<{ open: number }>(
    `with old as (
       select r.content_id, r.node_id, r.recheck from replica r
         join content c on c.id = r.content_id
         join node n on n.id = r.node_id
        where c.cid = any ($2) and r.state = 'verified' and r.verified_at < $3 and n.liveness <> 'down'
          and exists (select from pin p where p.content_id = c.id and p.tenant_id = $1)
        order by r.content_id, r.node_id for no key update of r),
     asked as (
       update replica r set recheck = true, due_at = now(), prio = least(r.prio, 2)
         from old
        where r.content_id = old.content_id and r.node_id = old.node_id and not old.recheck)
     select case when now() < $3::timestamptz + make_interval(secs => $4 / 1000.0) then count(*) else 0 end::int as open from old`,
    [tenantId, cids.map((cid) => Buffer.from(toV1(cid).bytes)), since, longestMs],
  )
  return row?.open ?? 0
}
