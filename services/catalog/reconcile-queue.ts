import type { Sql } from './database.ts'

/** How long whoever took a root from the queue has before another may take it. */
const TAKEN_MS = 30_000

/** Asks for roots to be looked at now. `prio` as in the column `replica.prio`: the smaller comes first. */
export async function enqueue(sql: Sql, contentIds: readonly string[], prio = 2): Promise<void> {
  if (contentIds.length === 0) return
  await sql.prepared(
    'enqueue',
    `insert into reconcile_queue (content_id, prio)
     select id, $2 from (select distinct id from unnest($1::bigint[]) as id) known order by id
     on conflict (content_id) do update
       set seq = reconcile_queue.seq + 1, prio = least(reconcile_queue.prio, excluded.prio),
           due_at = least(reconcile_queue.due_at, now())`,
    [contentIds, prio],
  )
}

/** Like {@link enqueue} for roots that lost a copy: those with the fewest live ones first. */
export async function enqueueLost(sql: Sql, contentIds: readonly string[]): Promise<void> {
  if (contentIds.length === 0) return
  await sql.run(
    `insert into reconcile_queue (content_id, prio)
     select known.id, case alive.copies when 0 then 1 when 1 then 0 else 3 end
       from (select distinct id from unnest($1::bigint[]) as id) known
      cross join lateral (
              select count(*) as copies from replica r join node n on n.id = r.node_id
               where r.content_id = known.id and r.state in ('stored', 'verified') and n.liveness <> 'down') alive
      order by known.id
     on conflict (content_id) do update
       set seq = reconcile_queue.seq + 1, prio = least(reconcile_queue.prio, excluded.prio),
           due_at = least(reconcile_queue.due_at, now())`,
    [contentIds],
  )
}

export interface QueueEntry {
  contentId: string
  seq: string
}

/** Takes the next roots; they come again in half a minute unless {@link finishEntries} removes them. */
export async function takeEntries(sql: Sql, limit: number): Promise<QueueEntry[]> {
  return await sql.prepared<QueueEntry>(
    'take-entries',
    `update reconcile_queue q set due_at = now() + make_interval(secs => $2 / 1000.0)
       from (select content_id from reconcile_queue where due_at <= now()
              order by prio, due_at limit $1 for update skip locked) next
      where q.content_id = next.content_id
      returning q.content_id as "contentId", q.seq`,
    [limit, TAKEN_MS],
  )
}

/** Removes entries that no event has asked for again since they were taken. Those with `againMs` come back then. */
export async function finishEntries(
  sql: Sql,
  entries: readonly (QueueEntry & { againMs?: number | undefined })[],
): Promise<void> {
  const current = await sql.prepared<QueueEntry>(
    'lock-entries',
    `select q.content_id as "contentId", q.seq from reconcile_queue q
      where q.content_id = any ($1) order by q.content_id for update`,
    [entries.map(({ contentId }) => contentId)],
  )
  const seqs = new Map(current.map(({ contentId, seq }) => [contentId, seq]))
  const unchanged = entries.filter(({ contentId, seq }) => seqs.get(contentId) === seq)
  const done = unchanged.filter(({ againMs }) => againMs === undefined)
  const later = unchanged.filter(({ againMs }) => againMs !== undefined)
  await sql.prepared('finish-entries', `delete from reconcile_queue where content_id = any ($1)`, [
    done.map(({ contentId }) => contentId),
  ])
  if (later.length === 0) return
  await sql.run(
    `update reconcile_queue q set due_at = now() + make_interval(secs => later.ms / 1000.0)
       from unnest($1::bigint[], $2::float8[]) as later (content_id, ms)
      where q.content_id = later.content_id`,
    [later.map(({ contentId }) => contentId), later.map(({ againMs }) => againMs)],
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
