import { HoldfastError } from '../core/errors.ts'
import type { Beat } from '../core/sync.ts'
import type { Sql } from './database.ts'

/** An inventory whose next slice does not come in this time is begun anew. */
const SLICE_PATIENCE_MS = 30_000

/** A node whose session was checked. */
export interface NodeSession {
  nodeId: number
  epoch: number
  region: string
  inventoryWanted: boolean
  /** It is up again, or reached differently: others are to be told. */
  hasMoved: boolean
}

/**
 * Writes down that a node was heard, and answers who it is. A node that was suspect is up again.
 * @throws STALE_SESSION when the session is not the node's present one: it is to register again
 */
export async function recordBeat(
  sql: Sql,
  sessionHash: Buffer,
  beat: Beat,
  inventoryEveryMs: number,
): Promise<NodeSession> {
  const [session] = await sql.prepared<Omit<NodeSession, 'hasMoved'>>(
    'record-beat',
    `with heard as (
       update node_beat b
          set at = clock_timestamp(), capacity_bytes = $2, free_bytes = $3, stored_bytes = $4, blocks = $5, roots = $6,
              refusal = $7
         from node n
        where n.id = b.node_id and n.session_hash = $1
        returning b.node_id)
     select n.id as "nodeId", n.epoch, coalesce(n.labels ->> 'region', '') as region,
            (n.inventory_at is null or n.inventory_at < now() - make_interval(secs => $8 / 1000.0))
              and (n.inventory_slice_at is null or n.inventory_slice_at < now() - make_interval(secs => $9 / 1000.0))
              as "inventoryWanted"
       from node n join heard on heard.node_id = n.id`,
    [
      sessionHash,
      beat.capacityBytes,
      beat.freeBytes,
      beat.storedBytes,
      beat.blocks,
      beat.roots,
      beat.refusal ?? null,
      inventoryEveryMs,
      SLICE_PATIENCE_MS,
    ],
  )
  if (session === undefined) throw staleSession()
  const moved = await sql.prepared(
    'record-addresses',
    `update node set liveness = 'up', peer_id = $2, addresses = $3
      where id = $1 and epoch = $4
        and (liveness = 'suspect' or (peer_id, addresses) is distinct from ($2, $3))
      returning id`,
    [session.nodeId, beat.peerId ?? null, beat.addresses, session.epoch],
  )
  return { ...session, hasMoved: moved.length > 0 }
}

/** The id of the node whose session it is. @throws STALE_SESSION when it is not the present session of a node */
export async function checkSession(sql: Sql, sessionHash: Buffer): Promise<number> {
  const [found] = await sql.query<{ id: number }>('select id from node where session_hash = $1', [sessionHash])
  if (found === undefined) throw staleSession()
  return found.id
}

/** Keeps the session from ending while the transaction acts for it. @throws STALE_SESSION */
export async function holdSession(sql: Sql, { nodeId, epoch }: NodeSession): Promise<void> {
  const held = await sql.query(`select from node where id = $1 and epoch = $2 and session_hash is not null for share`, [
    nodeId,
    epoch,
  ])
  if (held.length === 0) throw staleSession()
}

function staleSession(): HoldfastError {
  return new HoldfastError('STALE_SESSION', 'This session has ended. Register again.')
}
