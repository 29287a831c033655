import { HoldfastError } from '../core/errors.ts'
import type { Liveness, StorageNode } from '../core/node.ts'
import type { Sql } from './database.ts'

/** A node as placement sees it. */
export interface ClusterNode extends StorageNode {
  /** It is dead, and all its copies were marked lost. */
  isLost: boolean
}

/** Every node, in the order of ids. `silentMs` is by the database's clock. */
export async function readNodes(sql: Sql): Promise<ClusterNode[]> {
  return await sql.prepared<ClusterNode>(
    'read-nodes',
    `select n.id, n.name, n.labels, n.state, n.liveness,
            extract(epoch from clock_timestamp() - b.at)::float8 * 1000 as "silentMs",
            b.capacity_bytes::float8 as "capacityBytes", b.free_bytes::float8 as "freeBytes", b.refusal,
            n.lost_at is not null as "isLost"
       from node n join node_beat b on b.node_id = n.id
      order by n.id`,
  )
}

/** A node as the API shows it. */
export interface NodeView {
  id: string
  name: string
  labels: Record<string, string>
  state: StorageNode['state']
  liveness: Liveness
  gateway: string
  peerId: string | null
  addresses: string[]
  capacityBytes: number
  freeBytes: number
  storedBytes: number
  blocks: number
  roots: number
  /** Why it takes no writes; null when it does. */
  refusal: string | null
  lastSeenAt: string
  joinedAt: string
  /** Replicas that wait for it or that it works on; at most 10,000 are counted. */
  queued: number
}

export async function listNodes(sql: Sql): Promise<NodeView[]> {
  return await sql.query<NodeView>(
    `select n.id::text, n.name, n.labels, n.state, n.liveness, n.gateway, n.peer_id as "peerId", n.addresses,
            b.capacity_bytes::float8 as "capacityBytes", b.free_bytes::float8 as "freeBytes",
            b.stored_bytes::float8 as "storedBytes", b.blocks::float8 as blocks, b.roots::float8 as roots, b.refusal,
            b.at as "lastSeenAt", n.joined_at as "joinedAt", q.queued
       from node n
       join node_beat b on b.node_id = n.id
      cross join lateral (
              select count(*)::int as queued from (
                select from replica r
                 where r.node_id = n.id
                   and (r.state in ('allocated', 'stored', 'releasing') or r.recheck)
                   and r.state in ('allocated', 'stored', 'verified', 'releasing')
                 limit 10000) waiting) q
      order by n.name`,
  )
}

/**
 * Starts to move everything away from a node. It goes on serving until its copies exist elsewhere.
 * @param nodeId its number or its name
 * @throws NOT_FOUND
 */
export async function drainNode(sql: Sql, nodeId: string): Promise<void> {
  await setNodeState(sql, nodeId, 'draining')
}

/** Lets a draining or drained node take copies again. @throws NOT_FOUND */
export async function undrainNode(sql: Sql, nodeId: string): Promise<void> {
  await setNodeState(sql, nodeId, 'active')
}

async function setNodeState(sql: Sql, nodeId: string, state: 'draining' | 'active'): Promise<void> {
  const touched = await sql.run(
    `update node set state = case when $2 = 'draining' and state = 'drained' then state else $2 end
      where id::text = $1 or name = $1`,
    [nodeId, state],
  )
  if (touched === 0) throw new HoldfastError('NOT_FOUND', `There is no node ${JSON.stringify(nodeId)}.`)
}

/** Draining nodes that hold nothing any more become drained. Answers those that are draining still. */
export async function finishDrains(sql: Sql): Promise<number[]> {
  await sql.run(
    `update node n set state = 'drained'
      where n.state = 'draining'
        and not exists (select from replica r
                         where r.node_id = n.id and r.state in ('allocated', 'stored', 'verified', 'releasing'))`,
  )
  const rows = await sql.query<{ id: number }>(`select id from node where state = 'draining' order by id`)
  return rows.map(({ id }) => id)
}
