import { parseCid } from '../core/cid.ts'
import type { InventorySlice } from '../core/sync.ts'
import type { Sql } from './database.ts'
import type { NodeSession } from './nodes-beat.ts'
import { enqueue } from './reconcile-queue.ts'

/** A row younger than this may have changed while the slice was on its way, so the slice says nothing of it. */
const SETTLED_MS = 60_000

/**
 * Compares a slice of what a node holds with the rows:
 * held without a row, or lost: the copy is known again, to be verified when somebody wants it;
 * a row without the bytes: it stands for nothing, and is allocated again (a lost one is forgotten).
 * @throws INVALID_CID when a root is none
 */
export async function applyInventory(sql: Sql, session: NodeSession, slice: InventorySlice): Promise<void> {
  const held = slice.roots.map(({ root, bytes, blocks }) => ({ cid: Buffer.from(parseCid(root).bytes), bytes, blocks }))
  const changed = [
    ...(await adoptUnknown(sql, session.nodeId, held)),
    ...(await reviveLost(sql, session.nodeId, held)),
    ...(await forgetMissing(sql, session.nodeId, slice, held)),
  ]
  await enqueue(sql, [...new Set(changed)], 3)
}

/** Notes that a slice has come; with the last one the node has shown all it holds. */
export async function noteInventory(sql: Sql, { nodeId, epoch }: NodeSession, done: boolean): Promise<void> {
  await sql.run(
    `update node set inventory_slice_at = now(), inventory_at = case when $3 then now() else inventory_at end
      where id = $1 and epoch = $2`,
    [nodeId, epoch, done],
  )
}

interface Held {
  cid: Buffer
  bytes: number
  blocks: number
}

async function adoptUnknown(sql: Sql, nodeId: number, held: readonly Held[]): Promise<string[]> {
  const cids = held.map(({ cid }) => cid)
  const unknown = await sql.query<{ cid: Buffer }>(
    `select h.cid from unnest($2::bytea[]) as h (cid)
      where not exists (select from content c join replica r on r.content_id = c.id and r.node_id = $1
                         where c.cid = h.cid)
      order by h.cid`,
    [nodeId, cids],
  )
  if (unknown.length === 0) return []
  const wanted = new Set(unknown.map(({ cid }) => cid.toString('hex')))
  const found = held.filter(({ cid }) => wanted.has(cid.toString('hex')))
  await sql.run(
    `insert into content (cid, bytes, blocks)
     select h.cid, h.bytes, h.blocks from unnest($1::bytea[], $2::bigint[], $3::bigint[]) as h (cid, bytes, blocks)
      order by h.cid
     on conflict (cid) do nothing`,
    [found.map(({ cid }) => cid), found.map(({ bytes }) => bytes), found.map(({ blocks }) => blocks)],
  )
  const rows = await sql.query<{ contentId: string }>(
    `insert into replica (content_id, node_id, state, prio, due_at)
     select c.id, $1, 'stored', 4, 'infinity' from content c where c.cid = any ($2) order by c.id
     on conflict (content_id, node_id) do nothing
     returning content_id as "contentId"`,
    [nodeId, found.map(({ cid }) => cid)],
  )
  return rows.map(({ contentId }) => contentId)
}

async function reviveLost(sql: Sql, nodeId: number, held: readonly Held[]): Promise<string[]> {
  const rows = await sql.query<{ contentId: string }>(
    `update replica r set state = 'stored', prio = 4, attempts = 0, due_at = 'infinity', changed_at = now()
       from content c
      where c.cid = any ($2) and r.content_id = c.id and r.node_id = $1 and r.state = 'lost'
      returning r.content_id as "contentId"`,
    [nodeId, held.map(({ cid }) => cid)],
  )
  return rows.map(({ contentId }) => contentId)
}

async function forgetMissing(
  sql: Sql,
  nodeId: number,
  slice: InventorySlice,
  held: readonly Held[],
): Promise<string[]> {
  const after = slice.after === undefined ? null : Buffer.from(parseCid(slice.after).bytes)
  const last = slice.done ? null : (held.at(-1)?.cid ?? after)
  const rows = await sql.query<{ contentId: string }>(
    `with missing as (
       select r.content_id, r.state
         from content c
         join replica r on r.content_id = c.id and r.node_id = $1
         join node n on n.id = r.node_id
        where ($2::bytea is null or c.cid > $2) and ($3::bytea is null or c.cid <= $3) and not c.cid = any ($4)
          and r.state in ('stored', 'verified', 'lost') and r.lease is null
          and (r.changed_at < n.registered_at or r.changed_at < now() - make_interval(secs => $5 / 1000.0))
        order by r.content_id for update of r),
     gone as (
       delete from replica r using missing m
        where r.content_id = m.content_id and r.node_id = $1 and m.state = 'lost'),
     again as (
       update replica r
          set state = 'allocated', verified_at = null, recheck = false, done_bytes = 0, done_blocks = 0,
              due_at = 'infinity', error_code = 'BLOCK_MISSING', error = 'The node does not hold it any more.',
              changed_at = now()
         from missing m
        where r.content_id = m.content_id and r.node_id = $1 and m.state <> 'lost')
     select content_id as "contentId" from missing`,
    [nodeId, after, last, held.map(({ cid }) => cid), SETTLED_MS],
  )
  return rows.map(({ contentId }) => contentId)
}
