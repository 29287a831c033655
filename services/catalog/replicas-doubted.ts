import { parseCid } from '../core/cid.ts'
import type { Sql } from './database.ts'
import { enqueue } from './reconcile-queue.ts'

/**
 * A node says that its disk has spoiled blocks of these roots: its copies stand for nothing until they were made whole
 * and read back. One that is being read back just now is left alone: that finds the damage by itself.
 * @throws INVALID_CID when a root is none
 */
export async function doubtReplicas(sql: Sql, nodeId: number, roots: readonly string[]): Promise<void> {
  const rows = await sql.query<{ contentId: string }>(
    `with doubted as (
       select r.content_id from replica r join content c on c.id = r.content_id
        where r.node_id = $1 and c.cid = any ($2) and r.state in ('stored', 'verified') and r.lease is null
        order by r.content_id for update of r)
     update replica r
        set state = 'allocated', verified_at = null, recheck = false, due_at = 'infinity', done_bytes = 0,
            done_blocks = 0, error_code = 'CORRUPT_BLOCK', error = 'The disk has spoiled blocks of it.',
            changed_at = now()
       from doubted d
      where r.node_id = $1 and r.content_id = d.content_id
      returning r.content_id as "contentId"`,
    [nodeId, roots.map((root) => Buffer.from(parseCid(root).bytes))],
  )
  await enqueue(
    sql,
    rows.map(({ contentId }) => contentId),
    0,
  )
}
