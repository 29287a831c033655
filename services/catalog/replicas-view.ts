import type { PlacementInput } from '../core/placement.ts'
import type { ReplicaState } from '../core/replica.ts'
import type { Sql } from './database.ts'
import { readNodes } from './nodes.ts'
import { readContent } from './reconcile-contents.ts'

/** One node's copy of a pin's content, as the API shows it. */
export interface ReplicaView {
  /** Name of the node. */
  node: string
  region: string
  state: ReplicaState
  /** Of the whole DAG; null until somebody measured it. */
  bytes: number | null
  blocks: number | null
  /** Of this copy. */
  doneBytes: number
  doneBlocks: number
  /** What its node is doing; null while it waits. */
  phase: string | null
  verifiedAt: string | null
  attempts: number
  errorCode: string | null
  error: string | null
  isLeased: boolean
  /** Until its node tries again; null when that depends on something else. */
  nextTryMs: number | null
}

/** The replicas of a content, in the order of the nodes' names. */
export async function pinReplicas(sql: Sql, contentId: string): Promise<ReplicaView[]> {
  return await sql.query<ReplicaView>(
    `select n.name as node, coalesce(n.labels ->> 'region', '') as region, r.state, c.bytes::float8 as bytes,
            c.blocks::float8 as blocks, r.done_bytes::float8 as "doneBytes", r.done_blocks::float8 as "doneBlocks",
            r.phase, r.verified_at as "verifiedAt", r.attempts, r.error_code as "errorCode", r.error,
            r.lease is not null as "isLeased",
            case when r.lease is null and r.due_at < 'infinity' and r.state in ('allocated', 'stored', 'releasing')
                 then greatest(0, extract(epoch from r.due_at - now())::float8 * 1000) end as "nextTryMs"
       from replica r join node n on n.id = r.node_id join content c on c.id = r.content_id
      where r.content_id = $1
      order by n.name`,
    [contentId],
  )
}

/** What the content's placement is decided by, to tell what stands in its way: `plan(input).problems`. */
export async function placementInputOf(sql: Sql, contentId: string): Promise<PlacementInput | undefined> {
  const content = await readContent(sql, contentId)
  if (content === undefined) return undefined
  return {
    policies: content.policies.map(({ policy }) => policy),
    nodes: await readNodes(sql),
    replicas: content.replicas,
    root: content.root,
    ...(content.bytes !== undefined && { sizeBytes: content.bytes }),
  }
}
