import type { Sql } from './database.ts'
import type { NodeSession } from './nodes-beat.ts'

/** A replica that was given to its node to work on. */
export interface ClaimedWork {
  contentId: string
  lease: string
  verb: 'hold' | 'release'
  /** Binary, version 1. */
  cid: Uint8Array
  /** Names of nodes that hold it, the best first. */
  sources: string[]
  origins: string[]
  maxBytes: number
}

/** Shares of a node's slots by priority, so that no class starves another. Healing comes before new pins. */
const CLASS_WEIGHTS = [40, 10, 30, 15, 5, 5, 10]
/** Classes of roots that no node has: searches, of which only so many may wait for the network at once. */
const SEEK_CLASSES = '(1, 6)'
/** Those that wait, of replicas `r` of the node $1, as the index 'replica_search' has them. */
const SEARCHES = `r.node_id = $1 and r.lease is null and (r.state in ('allocated', 'stored', 'releasing') or r.recheck)
  and r.prio in ${SEEK_CLASSES} and r.due_at < 'infinity'`

/** The next account of which something waits to be searched for, in a class. */
function firstAccount(after: string): string {
  return `min(r.tenant_id) from replica r where ${SEARCHES} and r.prio = class.prio ${after}`
}

/**
 * Gives due work to a node: at most `slots` replicas, each with a lease of its own until `leaseMs` from now. Of several
 * classes that wait each gets slots at random by its weight, within a class what is due longest comes first. Searches take
 * long, so accounts that wait for some take turns, however many one of them has.
 * @param room `seeks`: of the slots, how many of each class of roots that no node has
 */
export async function claimWork(
  sql: Sql,
  session: NodeSession,
  room: { slots: number; seeks?: number | undefined; leaseMs: number; defaultMaxBytes: number },
): Promise<ClaimedWork[]> {
  const { slots, seeks = slots, leaseMs, defaultMaxBytes } = room
  if (slots <= 0) return []
  const claimed = await sql.prepared<Claim>(
    'claim-work',
    `with class as materialized (
       select weight, ordinal - 1 as prio from unnest($3::float8[]) with ordinality as class (weight, ordinal)),
     searching as materialized (
       select class.weight, class.prio, known.tenant_id
         from class cross join lateral (
           with recursive known (tenant_id) as (
             (select ${firstAccount('')})
             union all
             select (select ${firstAccount('and r.tenant_id > known.tenant_id')})
               from known where known.tenant_id is not null)
           select tenant_id from known where tenant_id is not null) known
        where class.prio in ${SEEK_CLASSES}),
     searches as (
       select weight, prio, content_id, row_number() over (partition by prio order by turn, random()) as place
         from (select s.weight, s.prio, q.content_id,
                      row_number() over (partition by s.prio, s.tenant_id order by q.due_at) as turn
                 from searching s cross join lateral (
                   select r.content_id, r.due_at from replica r
                    where ${SEARCHES} and r.prio = s.prio and r.tenant_id = s.tenant_id and r.due_at <= now()
                    order by r.due_at limit least($4, $6::bigint)) q) waiting),
     others as (
       select class.weight, class.prio, q.content_id, row_number() over (partition by class.prio order by q.due_at) as place
         from class cross join lateral (
           select r.content_id, r.due_at from replica r
            where r.node_id = $1 and r.prio = class.prio and r.due_at <= now() and r.lease is null
              and (r.state in ('allocated', 'stored', 'releasing') or r.recheck)
            order by r.due_at limit $4::bigint) q
        where class.prio not in ${SEEK_CLASSES}),
     due as materialized (
       select content_id
         from (select * from searches where place <= $6::bigint union all select * from others) waiting
        order by place / weight * -ln(1 - random())
        limit $4),
     pick as (
       select r.content_id from replica r join due on due.content_id = r.content_id
        where r.node_id = $1 and r.lease is null and r.due_at <= now()
          and (r.state in ('allocated', 'stored', 'releasing') or r.recheck)
          for update of r skip locked)
     update replica r
        set lease = nextval('lease_seq'), lease_until = now() + make_interval(secs => $5 / 1000.0), phase = null
       from pick join content c on c.id = pick.content_id
      where r.node_id = $1 and r.content_id = pick.content_id
        and exists (select from node n where n.id = $1 and n.epoch = $2 and n.session_hash is not null)
      returning r.content_id as "contentId", r.lease, r.state, c.cid, c.origins`,
    [session.nodeId, session.epoch, CLASS_WEIGHTS, slots, leaseMs, seeks],
  )
  const held = claimed.filter(({ state }) => state !== 'releasing').map(({ contentId }) => contentId)
  const [sources, limits] = [await readSources(sql, held, session), await readLimits(sql, held, defaultMaxBytes)]
  await enqueueQueued(sql, held)
  return claimed.map(({ contentId, lease, state, cid, origins }) => ({
    contentId,
    lease,
    verb: state === 'releasing' ? ('release' as const) : ('hold' as const),
    cid,
    sources: sources.get(contentId) ?? [],
    origins: sources.has(contentId) ? [] : origins,
    maxBytes: limits.get(contentId) ?? defaultMaxBytes,
  }))
}

/** Takes work back that could not be handed over, so that it need not wait for its lease to end. */
export async function returnWork(
  sql: Sql,
  nodeId: number,
  work: readonly { contentId: string; lease: string }[],
): Promise<void> {
  await sql.run(
    `update replica r set lease = null, lease_until = null
       from unnest($2::bigint[], $3::bigint[]) as w (content_id, lease)
      where r.node_id = $1 and r.content_id = w.content_id and r.lease = w.lease`,
    [nodeId, work.map(({ contentId }) => contentId), work.map(({ lease }) => lease)],
  )
}

interface Claim {
  contentId: string
  lease: string
  state: string
  cid: Uint8Array
  origins: string[]
}

/** A pin whose content somebody begins to work on is not `queued` any more. */
async function enqueueQueued(sql: Sql, contentIds: readonly string[]): Promise<void> {
  if (contentIds.length === 0) return
  await sql.prepared(
    'enqueue-queued',
    `insert into reconcile_queue (content_id)
     select distinct p.content_id from pin p where p.content_id = any ($1) and p.status = 'queued'`,
    [contentIds],
  )
}

/** Verified copies before stored ones, nodes that are up before suspect ones, the same region before others. */
async function readSources(
  sql: Sql,
  contentIds: readonly string[],
  { nodeId, region }: NodeSession,
): Promise<Map<string, string[]>> {
  if (contentIds.length === 0) return new Map()
  const rows = await sql.prepared<{ contentId: string; names: string[] }>(
    'read-sources',
    `select r.content_id as "contentId",
            array_agg(n.name order by r.state = 'verified' desc, n.liveness = 'up' desc,
                                      coalesce(n.labels ->> 'region', '') = $3 desc, random()) as names
       from replica r join node n on n.id = r.node_id
      where r.content_id = any ($1) and r.node_id <> $2 and r.state in ('stored', 'verified') and n.liveness <> 'down'
      group by r.content_id`,
    [contentIds, nodeId, region],
  )
  return new Map(rows.map(({ contentId, names }) => [contentId, names]))
}

/** What the most generous tenant who wants the content allows: a pin over its own or its tenant's limit fails by itself. */
async function readLimits(
  sql: Sql,
  contentIds: readonly string[],
  defaultMaxBytes: number,
): Promise<Map<string, number>> {
  if (contentIds.length === 0) return new Map()
  const rows = await sql.prepared<{ contentId: string; maxBytes: number }>(
    'read-limits',
    `select p.content_id as "contentId", max(least(coalesce(u.max_pin_bytes, $2::bigint), p.max_bytes))::float8 as "maxBytes"
       from pin p join tenant_usage u on u.tenant_id = p.tenant_id
      where p.content_id = any ($1)
      group by p.content_id`,
    [contentIds, defaultMaxBytes],
  )
  return new Map(rows.map(({ contentId, maxBytes }) => [contentId, maxBytes]))
}
