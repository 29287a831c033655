import type { Liveness } from '../core/node.ts'
import { enqueueLost } from './reconcile-queue.ts'
import type { Database, Sql } from './database.ts'

/** What the detector judges by. */
export interface Silence {
  nodeId: number
  name: string
  state: 'active' | 'draining' | 'drained'
  labels: Record<string, string>
  liveness: Liveness
  /** All its copies were marked lost. */
  isLost: boolean
  silentMs: number
}

/** How long each node was silent while somebody was there to hear: at most `listeningMs`. */
export async function readSilences(sql: Sql, listeningMs: number): Promise<Silence[]> {
  return await sql.query<Silence>(
    `select n.id as "nodeId", n.name, n.state, n.labels, n.liveness,
            n.lost_at is not null as "isLost",
            least(extract(epoch from clock_timestamp() - b.at)::float8 * 1000, $1) as "silentMs"
       from node n join node_beat b on b.node_id = n.id
      order by n.id`,
    [listeningMs],
  )
}

/**
 * Writes a judgement down, unless the node was heard since. Death ends the node's session.
 * @returns whether it was written
 */
export async function judgeNode(
  sql: Sql,
  { nodeId, from, to, silentMs }: { nodeId: number; from: Liveness; to: Liveness; silentMs: number },
): Promise<boolean> {
  const touched = await sql.run(
    `update node n
        set liveness = $3, epoch = case when $3 = 'down' then n.epoch + 1 else n.epoch end,
            session_hash = case when $3 = 'down' then null else n.session_hash end
      where n.id = $1 and n.liveness = $2
        and ($3 = 'up' or exists (select from node_beat b
                                   where b.node_id = n.id and b.at < clock_timestamp() - make_interval(secs => $4 / 1000.0)))`,
    [nodeId, from, to, Math.floor(silentMs * 0.9)],
  )
  return touched > 0
}

export interface LossSlice {
  /** Copies that became lost. */
  lost: number
  /** Where the next slice begins; undefined when there is none. */
  next: string | undefined
}

/**
 * Marks the next copies of a dead node lost and asks for their contents to be placed anew. Allocations and removals on it
 * are forgotten: should it have the bytes when it returns, its inventory says so.
 * @param onlyEndangered passes over contents of which enough live copies remain
 */
export async function loseReplicasOf(
  db: Database,
  nodeId: number,
  options: { after: string; limit: number; onlyEndangered: boolean },
): Promise<LossSlice> {
  return await db.transaction(async (sql) => {
    const rows = await sql.query<{ contentId: string; lost: boolean }>(
      `select r.content_id as "contentId", r.state in ('stored', 'verified') as lost
         from replica r join node n on n.id = r.node_id
        where r.node_id = $1 and n.liveness = 'down' and r.content_id > $2
          and r.state in ('allocated', 'stored', 'verified', 'releasing')
          and (not $4 or (
                select count(*) from replica o join node m on m.id = o.node_id
                 where o.content_id = r.content_id and o.state in ('stored', 'verified') and m.liveness <> 'down')
              < coalesce((select max(p.copies_min) from content_policy cp join policy p on p.id = cp.policy_id
                           where cp.content_id = r.content_id), 0))
        order by r.content_id limit $3
          for update of r for share of n`,
      [nodeId, options.after, options.limit, options.onlyEndangered],
    )
    const ids = rows.map(({ contentId }) => contentId)
    await sql.run(
      `delete from replica where node_id = $1 and content_id = any ($2) and state in ('allocated', 'releasing')`,
      [nodeId, ids],
    )
    const lost = await sql.run(
      `update replica
          set state = 'lost', lease = null, lease_until = null, recheck = false, phase = null, due_at = 'infinity',
              changed_at = now()
        where node_id = $1 and content_id = any ($2) and state in ('stored', 'verified')`,
      [nodeId, ids],
    )
    await enqueueLost(sql, ids)
    return { lost, next: rows.length < options.limit ? undefined : ids.at(-1) }
  })
}

/** Notes that nothing of a dead node is left to be marked. */
export async function markLost(sql: Sql, nodeId: number): Promise<void> {
  await sql.run(`update node set lost_at = now() where id = $1 and liveness = 'down' and lost_at is null`, [nodeId])
}
