import type { PinStatus } from '../core/pin.ts'
import type { Sql } from './database.ts'

/** When a node shall work on a replica: after a pause, or not until a further decision. */
export interface Appointment {
  nodeId: number
  prio: number
  /** Null: not now. */
  dueInMs: number | null
}

/** What shall become of one root. */
export interface Decision {
  contentId: string
  /** New allocations, also in the place of copies that are lost or being removed. */
  allocate: Appointment[]
  /** Changed appointments of replicas that are there. */
  schedule: Appointment[]
  /** Nodes that shall read their verified copy back. */
  recheck: Appointment[]
  /** Nodes that shall remove what they have. */
  release: number[]
  /** Rows that stand for nothing. */
  forget: number[]
  /** Why no copy will come; null takes such a verdict back; undefined leaves it. */
  givenUp: { code: string; message: string } | null | undefined
  /** Nothing is left: the content itself goes. */
  isOver: boolean
  statuses: StatusRule[]
}

/** What becomes of the pins of one root that have one policy. */
export interface StatusRule {
  policyId: number
  /** Pins made up to ten minutes after this are pinned: so many copies were verified since. Null: none is. */
  evidenceAt: string | null
  /** Pins that are pinned already stay so. */
  keeps: boolean
  /** The status of the others. */
  otherwise: PinStatus
}

/** Writes decisions over contents that the transaction has locked. */
export async function writeDecisions(sql: Sql, decisions: readonly Decision[]): Promise<void> {
  await writeVerdicts(sql, decisions)
  await forgetReplicas(
    sql,
    pairs(decisions, ({ forget }) => forget),
  )
  await allocateReplicas(
    sql,
    appointments(decisions, ({ allocate }) => allocate),
  )
  await scheduleReplicas(
    sql,
    appointments(decisions, ({ schedule }) => schedule),
  )
  await recheckReplicas(
    sql,
    appointments(decisions, ({ recheck }) => recheck),
  )
  await releaseReplicas(
    sql,
    pairs(decisions, ({ release }) => release),
  )
  await removeContents(
    sql,
    decisions.filter(({ isOver }) => isOver).map(({ contentId }) => contentId),
  )
}

async function writeVerdicts(sql: Sql, decisions: readonly Decision[]): Promise<void> {
  const verdicts = decisions.filter(({ givenUp }) => givenUp !== undefined)
  if (verdicts.length === 0) return
  await sql.run(
    `update content c set given_up = v.message, given_up_code = v.code
       from unnest($1::bigint[], $2::text[], $3::text[]) as v (content_id, code, message)
      where c.id = v.content_id`,
    [
      verdicts.map(({ contentId }) => contentId),
      verdicts.map(({ givenUp }) => givenUp?.code ?? null),
      verdicts.map(({ givenUp }) => givenUp?.message ?? null),
    ],
  )
  // A new pin tries from the start.
  await sql.run(`update replica set attempts = 0 where content_id = any ($1) and lease is null and attempts > 0`, [
    verdicts.filter(({ givenUp }) => givenUp === null).map(({ contentId }) => contentId),
  ])
}

type Pairs = [contentIds: string[], nodeIds: number[]]

async function forgetReplicas(sql: Sql, [contentIds, nodeIds]: Pairs): Promise<void> {
  if (contentIds.length === 0) return
  await sql.run(
    `delete from replica r using unnest($1::bigint[], $2::integer[]) as f (content_id, node_id)
      where r.content_id = f.content_id and r.node_id = f.node_id`,
    [contentIds, nodeIds],
  )
}

type Appointments = [...Pairs, prios: number[], dueInMs: (number | null)[]]

/**
 * A copy whose removal may have begun is never taken for a copy again without a look: it is allocated, and its node finds out
 * what is there.
 */
async function allocateReplicas(sql: Sql, columns: Appointments): Promise<void> {
  if (columns[0].length === 0) return
  await sql.prepared(
    'allocate-replicas',
    `insert into replica (content_id, node_id, prio, due_at, tenant_id)
     select a.content_id, a.node_id, a.prio, coalesce(now() + make_interval(secs => a.ms / 1000.0), 'infinity'),
            coalesce((select min(p.tenant_id) from pin p where p.content_id = a.content_id), 0)
       from unnest($1::bigint[], $2::integer[], $3::smallint[], $4::float8[]) as a (content_id, node_id, prio, ms)
       join node n on n.id = a.node_id and n.liveness <> 'down'
      order by a.content_id, a.node_id
     on conflict (content_id, node_id) do update
       set state = 'allocated', prio = excluded.prio, due_at = excluded.due_at, tenant_id = excluded.tenant_id,
           lease = null, lease_until = null,
           attempts = 0, recheck = false, verified_at = null, phase = null, error = null, error_code = null,
           changed_at = now()
       where replica.state in ('lost', 'releasing')`,
    columns,
  )
}

async function scheduleReplicas(sql: Sql, columns: Appointments): Promise<void> {
  if (columns[0].length === 0) return
  await sql.prepared(
    'schedule-replicas',
    `update replica r set prio = s.prio, due_at = coalesce(now() + make_interval(secs => s.ms / 1000.0), 'infinity')
       from unnest($1::bigint[], $2::integer[], $3::smallint[], $4::float8[]) as s (content_id, node_id, prio, ms)
      where r.content_id = s.content_id and r.node_id = s.node_id and r.lease is null`,
    columns,
  )
}

async function recheckReplicas(sql: Sql, columns: Appointments): Promise<void> {
  if (columns[0].length === 0) return
  await sql.run(
    `update replica r
        set recheck = true, prio = s.prio, due_at = coalesce(now() + make_interval(secs => s.ms / 1000.0), 'infinity')
       from unnest($1::bigint[], $2::integer[], $3::smallint[], $4::float8[]) as s (content_id, node_id, prio, ms)
      where r.content_id = s.content_id and r.node_id = s.node_id and r.state = 'verified' and r.lease is null`,
    columns,
  )
}

async function releaseReplicas(sql: Sql, [contentIds, nodeIds]: Pairs): Promise<void> {
  if (contentIds.length === 0) return
  await sql.run(
    `update replica r
        set state = 'releasing', prio = 5, due_at = now(), lease = null, lease_until = null, attempts = 0,
            recheck = false, verified_at = null, phase = null, error = null, error_code = null, changed_at = now()
       from unnest($1::bigint[], $2::integer[]) as g (content_id, node_id)
      where r.content_id = g.content_id and r.node_id = g.node_id and r.state <> 'releasing'`,
    [contentIds, nodeIds],
  )
}

async function removeContents(sql: Sql, contentIds: readonly string[]): Promise<void> {
  if (contentIds.length === 0) return
  await sql.run(
    `delete from content c
      where c.id = any ($1) and c.pins = 0
        and not exists (select from replica r where r.content_id = c.id)
        and not exists (select from pin p where p.content_id = c.id)
        and not exists (select from pin p where p.replaces_content_id = c.id)`,
    [contentIds],
  )
}

function pairs(decisions: readonly Decision[], nodesOf: (decision: Decision) => readonly number[]): Pairs {
  const flat = decisions.flatMap((decision) => nodesOf(decision).map((nodeId) => ({ decision, nodeId })))
  return [flat.map(({ decision }) => decision.contentId), flat.map(({ nodeId }) => nodeId)]
}

function appointments(
  decisions: readonly Decision[],
  of: (decision: Decision) => readonly Appointment[],
): Appointments {
  const flat = decisions.flatMap((decision) => of(decision).map((made) => ({ ...made, id: decision.contentId })))
  return [
    flat.map(({ id }) => id),
    flat.map(({ nodeId }) => nodeId),
    flat.map(({ prio }) => prio),
    flat.map(({ dueInMs }) => dueInMs),
  ]
}
