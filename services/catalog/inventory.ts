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
  await makeContents(sql, session.nodeId, held)
  const range = rangeOf(slice, held)
  await lockRange(sql, session.nodeId, range)
  const changed = [
    ...(await adoptUnknown(sql, session.nodeId, range)),
    ...(await reviveLost(sql, session.nodeId, range)),
    ...(await forgetMissing(sql, session.nodeId, range)),
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

/** Contents that the slice speaks of: those that the node holds, and all others between its ends. */
interface Range {
  cids: Buffer[]
  /** Null: from the start. */
  after: Buffer | null
  /** Null: to the end. */
  last: Buffer | null
}

function rangeOf(slice: InventorySlice, held: readonly Held[]): Range {
  const after = slice.after === undefined ? null : Buffer.from(parseCid(slice.after).bytes)
  return { cids: held.map(({ cid }) => cid), after, last: slice.done ? null : (held.at(-1)?.cid ?? after) }
}

/** Rows for roots that the catalog has never heard of. Nobody wants them yet. */
async function makeContents(sql: Sql, nodeId: number, held: readonly Held[]): Promise<void> {
  await sql.run(
    `insert into content (cid, bytes, blocks)
     select h.cid, h.bytes, h.blocks from unnest($1::bytea[], $2::bigint[], $3::bigint[]) as h (cid, bytes, blocks)
      where not exists (select from content c where c.cid = h.cid)
      order by h.cid
     on conflict (cid) do nothing`,
    [held.map(({ cid }) => cid), held.map(({ bytes }) => bytes), held.map(({ blocks }) => blocks)],
  )
  // Whoever else writes a first replica of these has locked the contents as well.
  await sql.run(
    `select from content c
      where c.cid = any ($2) and not exists (select from replica r where r.content_id = c.id and r.node_id = $1)
      order by c.id for no key update`,
    [nodeId, held.map(({ cid }) => cid)],
  )
}

/** All replicas that may change, in the order in which everybody locks them. */
async function lockRange(sql: Sql, nodeId: number, { cids, after, last }: Range): Promise<void> {
  await sql.run(
    `select from replica r join content c on c.id = r.content_id
      where r.node_id = $1
        and (c.cid = any ($2) or (($3::bytea is null or c.cid > $3) and ($4::bytea is null or c.cid <= $4)))
      order by r.content_id for update of r`,
    [nodeId, cids, after, last],
  )
}

async function adoptUnknown(sql: Sql, nodeId: number, { cids }: Range): Promise<string[]> {
  const rows = await sql.query<{ contentId: string }>(
    `insert into replica (content_id, node_id, state, prio, due_at)
     select c.id, $1, 'stored', 4, 'infinity' from content c
      where c.cid = any ($2) and not exists (select from replica r where r.content_id = c.id and r.node_id = $1)
      order by c.id
     on conflict (content_id, node_id) do nothing
     returning content_id as "contentId"`,
    [nodeId, cids],
  )
  return rows.map(({ contentId }) => contentId)
}

async function reviveLost(sql: Sql, nodeId: number, { cids }: Range): Promise<string[]> {
  const rows = await sql.query<{ contentId: string }>(
    `update replica r set state = 'stored', prio = 4, attempts = 0, due_at = 'infinity', changed_at = now()
       from content c
      where c.cid = any ($2) and r.content_id = c.id and r.node_id = $1 and r.state = 'lost'
      returning r.content_id as "contentId"`,
    [nodeId, cids],
  )
  return rows.map(({ contentId }) => contentId)
}

async function forgetMissing(sql: Sql, nodeId: number, { cids, after, last }: Range): Promise<string[]> {
  const rows = await sql.query<{ contentId: string }>(
    `with missing as (
       select r.content_id, r.state
         from content c
         join replica r on r.content_id = c.id and r.node_id = $1
         join node n on n.id = r.node_id
        where ($2::bytea is null or c.cid > $2) and ($3::bytea is null or c.cid <= $3) and not c.cid = any ($4)
          and r.state in ('stored', 'verified', 'lost') and r.lease is null
          and (r.changed_at < n.registered_at or r.changed_at < now() - make_interval(secs => $5 / 1000.0))
     ),
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
    [nodeId, after, last, cids, SETTLED_MS],
  )
  return rows.map(({ contentId }) => contentId)
}
