import type { Database, Sql } from './database.ts'
import { enqueue } from './reconcile-queue.ts'

/**
 * Takes back work whose node neither finished nor showed progress in time, so that it is given out again. What the node did
 * meanwhile is unknown: its later reports are void, and a removal that was begun never counts as a copy again.
 * @returns how many leases ended
 */
export async function expireLeases(db: Database, limit: number): Promise<number> {
  return await db.transaction(async (sql) => {
    const rows = await sql.query<{ contentId: string }>(
      `with late as (
         select content_id, node_id from replica where lease is not null and lease_until < now()
          order by content_id, node_id limit $1 for update skip locked)
       update replica r set lease = null, lease_until = null, attempts = r.attempts + 1, phase = null, due_at = now()
         from late
        where r.content_id = late.content_id and r.node_id = late.node_id
        returning r.content_id as "contentId"`,
      [limit],
    )
    await enqueue(sql, [...new Set(rows.map(({ contentId }) => contentId))], 3)
    return rows.length
  })
}

/** A role that one process holds at a time. */
export interface Lead {
  epoch: number
  /** How long it was held without a gap, and therefore how long somebody has been listening. */
  heldMs: number
  /** How far the role's sweep has come. */
  position: string
}

/**
 * Takes or renews a role for `ttlMs`. After a gap it counts as newly taken, even by the same holder.
 * @returns undefined when another process holds it
 */
export async function lead(sql: Sql, role: string, holder: string, ttlMs: number): Promise<Lead | undefined> {
  const [row] = await sql.query<Lead>(
    `insert into leader as l (role, holder, until)
     values ($1, $2, clock_timestamp() + make_interval(secs => $3 / 1000.0))
     on conflict (role) do update
       set epoch = case when l.holder = $2 and l.until >= clock_timestamp() then l.epoch else l.epoch + 1 end,
           since = case when l.holder = $2 and l.until >= clock_timestamp() then l.since else clock_timestamp() end,
           holder = $2, until = excluded.until
       where l.holder = $2 or l.until < clock_timestamp()
     returning epoch::float8 as epoch, position,
               extract(epoch from clock_timestamp() - since)::float8 * 1000 as "heldMs"`,
    [role, holder, ttlMs],
  )
  return row
}

/** Remembers how far a sweep has come, unless another process has taken the role. */
export async function savePosition(sql: Sql, role: string, epoch: number, position: string): Promise<void> {
  await sql.run(`update leader set position = $3 where role = $1 and epoch = $2`, [role, epoch, position])
}

/** Gives the role up, so that another takes it at once. */
export async function resign(sql: Sql, role: string, holder: string): Promise<void> {
  await sql.run(`update leader set until = '-infinity' where role = $1 and holder = $2`, [role, holder])
}
