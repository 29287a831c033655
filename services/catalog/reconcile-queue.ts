import type { Sql } from './database.ts'

/** How long whoever took a root from the queue has before another may take it. */
const TAKEN_MS = 30_000

/**
 * Asks for roots to be looked at once this transaction has ended. Waits for nobody.
 * @param prio as in the column `replica.prio`: the smaller comes first
 */
export async function enqueue(sql: Sql, contentIds: readonly string[], prio = 2): Promise<void> {
  if (contentIds.length === 0) return
  await sql.prepared(
    'enqueue',
    `insert into reconcile_queue (content_id, prio) select distinct id, $2::smallint from unnest($1::bigint[]) as id`,
    [contentIds, prio],
  )
}

/** Like {@link enqueue} for roots that lost a copy: those with the fewest live ones first. */
export async function enqueueLost(sql: Sql, contentIds: readonly string[]): Promise<void> {
  if (contentIds.length === 0) return
  await sql.run(
    `insert into reconcile_queue (content_id, prio)
     select lost.id, case alive.copies when 0 then 1 when 1 then 0 else 3 end
       from unnest($1::bigint[]) as lost (id)
      cross join lateral (
              select count(*) as copies from replica r join node n on n.id = r.node_id
               where r.content_id = lost.id and r.state in ('stored', 'verified') and n.liveness <> 'down') alive`,
    [contentIds],
  )
}

/** A root that is to be looked at, with all rows that asked for it. */
export interface QueueEntry {
  contentId: string
  ids: string[]
  prio: number
}

/** Takes the next roots; they come again in half a minute unless {@link finishEntries} removes them. */
export async function takeEntries(sql: Sql, limit: number): Promise<QueueEntry[]> {
  const rows = await sql.prepared<{ id: string; contentId: string; prio: number }>(
    'take-entries',
    `with next as materialized (
       select id, content_id from reconcile_queue where due_at <= now()
        order by prio, due_at limit $1 for update skip locked),
     same as materialized (
       select q.id from reconcile_queue q
        where q.content_id = any (array(select content_id from next)) and q.due_at <= now()
          for update of q skip locked)
     update reconcile_queue q set due_at = now() + make_interval(secs => $2 / 1000.0)
       from (select id from next union select id from same) taken
      where q.id = taken.id
      returning q.id, q.content_id as "contentId", q.prio`,
    [limit, TAKEN_MS],
  )
  return [...Map.groupBy(rows, ({ contentId }) => contentId)].map(([contentId, group]) => ({
    contentId,
    ids: group.map(({ id }) => id),
    prio: Math.min(...group.map(({ prio }) => prio)),
  }))
}

/** Removes what was taken. Roots with `againMs` come back then. */
export async function finishEntries(
  sql: Sql,
  entries: readonly (QueueEntry & { againMs?: number | undefined })[],
): Promise<void> {
  await sql.prepared('finish-entries', `delete from reconcile_queue where id = any ($1)`, [
    entries.flatMap(({ ids }) => ids),
  ])
  const later = entries.filter(({ againMs }) => againMs !== undefined)
  if (later.length === 0) return
  await sql.run(
    `insert into reconcile_queue (content_id, prio, due_at)
     select later.content_id, later.prio, now() + make_interval(secs => later.ms / 1000.0)
       from unnest($1::bigint[], $2::smallint[], $3::float8[]) as later (content_id, prio, ms)`,
    [later.map(({ contentId }) => contentId), later.map(({ prio }) => prio), later.map(({ againMs }) => againMs)],
  )
}

/** Asks for the next contents after a place in the order of ids; answers the last of them, undefined at the end. */
export async function enqueueContentsAfter(sql: Sql, after: string, limit: number): Promise<string | undefined> {
  const rows = await sql.query<{ id: string }>(`select id from content where id > $1 order by id limit $2`, [
    after,
    limit,
  ])
  const ids = rows.map(({ id }) => id)
  await enqueue(sql, ids, 4)
  return rows.length < limit ? undefined : ids.at(-1)
}

/** Like {@link enqueueContentsAfter}, of what one node holds. */
export async function enqueueContentsOf(
  sql: Sql,
  nodeId: number,
  after: string,
  limit: number,
): Promise<string | undefined> {
  const rows = await sql.query<{ id: string }>(
    `select content_id as id from replica
      where node_id = $1 and content_id > $2 and state in ('allocated', 'stored', 'verified', 'releasing')
      order by content_id limit $3`,
    [nodeId, after, limit],
  )
  const ids = rows.map(({ id }) => id)
  await enqueue(sql, ids, 3)
  return rows.length < limit ? undefined : ids.at(-1)
}

/** Asks for contents that no pin has wanted for `graceMs`, unless all that is left of them is being removed already. */
export async function enqueueIdle(
  sql: Sql,
  after: string,
  { graceMs, limit }: { graceMs: number; limit: number },
): Promise<string | undefined> {
  const rows = await sql.query<{ id: string }>(
    `select c.id from content c
      where c.pins = 0 and c.idle_since <= now() - make_interval(secs => $1 / 1000.0) and c.id > $2
        and (not exists (select from replica r where r.content_id = c.id)
             or exists (select from replica r where r.content_id = c.id and r.state <> 'releasing'))
      order by c.id limit $3`,
    [graceMs, after, limit],
  )
  const ids = rows.map(({ id }) => id)
  await enqueue(sql, ids, 5)
  return rows.length < limit ? undefined : ids.at(-1)
}

/** Roots that wait to be looked at now; counted up to `limit`. */
export async function countDue(sql: Sql, limit: number): Promise<number> {
  const [row] = await sql.query<{ due: number }>(
    `select count(*)::int as due from (select from reconcile_queue where due_at <= now() limit $1) q`,
    [limit],
  )
  return row?.due ?? 0
}
