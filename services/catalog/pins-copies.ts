import type { Sql } from './database.ts'
import type { FirstCopy } from './pins.ts'

/** What new pins mean for the copies of their contents, which must be locked. */

/**
 * Notes the copies that uploads left on their nodes. A node that has registered again since gets its copy allocated: it
 * will find the blocks on its disk.
 */
export async function storeFirstCopies(
  sql: Sql,
  copies: readonly (FirstCopy & { contentId: string })[],
): Promise<void> {
  if (copies.length === 0) return
  await sql.prepared(
    'store-first-copies',
    `insert into replica as r (content_id, node_id, state, done_bytes, done_blocks)
     select distinct on (copy."contentId", n.id) copy."contentId", n.id,
            case when n.epoch = copy.epoch and n.liveness <> 'down' then 'stored' else 'allocated' end,
            copy.bytes, copy.blocks
     from jsonb_to_recordset($1) as copy ("contentId" bigint, node text, epoch integer, bytes bigint, blocks bigint)
     join node n on n.name = copy.node
     order by copy."contentId", n.id
     on conflict (content_id, node_id) do update
       set state = excluded.state, done_bytes = excluded.done_bytes, done_blocks = excluded.done_blocks,
           prio = excluded.prio, due_at = excluded.due_at, attempts = 0, lease = null, lease_until = null, phase = null,
           verified_at = null, error = null, error_code = null, changed_at = now()
       where r.state not in ('stored', 'verified')`,
    [JSON.stringify(copies)],
  )
}

/** Contents that had been given up get new tries on the nodes that failed. */
export async function retryCopies(sql: Sql, contentIds: readonly string[]): Promise<void> {
  if (contentIds.length === 0) return
  await sql.prepared(
    'retry-copies',
    `update replica r
        set state = 'allocated', attempts = 0, due_at = now(), error = null, error_code = null, changed_at = now()
       from (select content_id, node_id from replica
              where content_id = any ($1) and state in ('failed', 'allocated') and lease is null
              order by content_id, node_id for no key update) as failed
      where r.content_id = failed.content_id and r.node_id = failed.node_id`,
    [contentIds],
  )
}

/** A copy verified so recently says enough of itself for a new pin; an older one is read back first. */
const FRESH = `interval '1 minute'`

/** A new pin is not `pinned` because somebody else's was once: verified copies are read back from their disks again. */
export async function recheckCopies(sql: Sql, contentIds: readonly string[]): Promise<void> {
  await sql.prepared(
    'recheck-copies',
    `update replica r set recheck = true, due_at = now(), prio = least(r.prio, 2)
       from (select content_id, node_id from replica
              where content_id = any ($1) and state = 'verified' and not recheck and verified_at < now() - ${FRESH}
              order by content_id, node_id for no key update) as old
      where r.content_id = old.content_id and r.node_id = old.node_id`,
    [contentIds],
  )
}
