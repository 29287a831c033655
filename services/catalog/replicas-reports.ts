import type { Report } from '../core/sync.ts'
import type { Sql } from './database.ts'
import { enqueue } from './reconcile-queue.ts'

export interface ReportSettings {
  leaseMs: number
  /** Pause after the first failure; doubled by each further one. */
  retryMs: number
  maxRetryMs: number
}

/**
 * Writes down what a node reports of its work. Each report counts only while its lease is the replica's present one, so
 * that old, repeated and reordered reports change nothing. Of one batch the order does not matter.
 * @returns leases that are not current: their work is to be stopped
 */
export async function applyReports(
  sql: Sql,
  nodeId: number,
  reports: readonly Report[],
  settings: ReportSettings,
): Promise<string[]> {
  if (reports.length === 0) return []
  await measureContents(sql, nodeId, reports)
  const current = await lockLeases(sql, nodeId, reports)
  const live = reports.filter(({ contentId, lease }) => current.get(contentId) === lease)
  await applyProgress(sql, nodeId, of(live, 'progress'), settings)
  await applyStored(sql, nodeId, of(live, 'stored'), settings)
  await applyVerified(sql, nodeId, of(live, 'verified'))
  await applyFailed(sql, nodeId, of(live, 'failed'), settings)
  await applyReleased(sql, nodeId, of(live, 'released'))
  const news = live.filter(({ outcome }) => outcome !== 'progress').map(({ contentId }) => contentId)
  await enqueue(sql, [...new Set(news)])
  return reports.filter((report) => !live.includes(report)).map(({ lease }) => lease)
}

type Outcome = Report['outcome']
type ReportOf<O extends Outcome> = Extract<Report, { outcome: O }>

function of<O extends Outcome>(reports: readonly Report[], outcome: O): ReportOf<O>[] {
  return reports.filter((report): report is ReportOf<O> => report.outcome === outcome)
}

/** Figures of contents that had none. Before the replicas are locked: contents come first in the order of locks. */
async function measureContents(sql: Sql, nodeId: number, reports: readonly Report[]): Promise<void> {
  const measured = [...of(reports, 'stored'), ...of(reports, 'verified')]
  if (measured.length === 0) return
  const unmeasured = await sql.prepared<{ id: string }>(
    'lock-unmeasured',
    `select id from content where id = any ($1) and bytes is null order by id for no key update`,
    [measured.map(({ contentId }) => contentId)],
  )
  if (unmeasured.length === 0) return
  await sql.prepared(
    'measure-contents',
    `update content c set bytes = m.bytes, blocks = m.blocks
       from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as m (content_id, lease, bytes, blocks)
       join replica r on r.content_id = m.content_id and r.node_id = $1 and r.lease = m.lease
      where c.id = m.content_id and c.bytes is null`,
    [nodeId, ...keysOf(measured), ...figuresOf(measured)],
  )
}

async function lockLeases(sql: Sql, nodeId: number, reports: readonly Report[]): Promise<Map<string, string | null>> {
  const rows = await sql.prepared<{ contentId: string; lease: string | null }>(
    'lock-leases',
    `select content_id as "contentId", lease from replica
      where node_id = $1 and content_id = any ($2) order by content_id for update`,
    [nodeId, reports.map(({ contentId }) => contentId)],
  )
  return new Map(rows.map(({ contentId, lease }) => [contentId, lease]))
}

async function applyProgress(
  sql: Sql,
  nodeId: number,
  reports: readonly ReportOf<'progress'>[],
  { leaseMs }: ReportSettings,
): Promise<void> {
  if (reports.length === 0) return
  await sql.prepared(
    'apply-progress',
    `update replica r
        set lease_until = now() + make_interval(secs => $6 / 1000.0), done_bytes = p.bytes, done_blocks = p.blocks,
            phase = p.phase
       from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $7::text[])
              as p (content_id, lease, bytes, blocks, phase)
      where r.node_id = $1 and r.content_id = p.content_id and r.lease = p.lease`,
    [nodeId, ...keysOf(reports), ...figuresOf(reports), leaseMs, reports.map(({ phase }) => phase)],
  )
}

async function applyStored(
  sql: Sql,
  nodeId: number,
  reports: readonly ReportOf<'stored'>[],
  { leaseMs }: ReportSettings,
): Promise<void> {
  if (reports.length === 0) return
  await sql.prepared(
    'apply-stored',
    `update replica r
        set state = case r.state when 'allocated' then 'stored' else r.state end,
            lease_until = now() + make_interval(secs => $6 / 1000.0), done_bytes = s.bytes, done_blocks = s.blocks,
            phase = 'verify', error = null, error_code = null, changed_at = now()
       from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as s (content_id, lease, bytes, blocks)
      where r.node_id = $1 and r.content_id = s.content_id and r.lease = s.lease and r.state <> 'releasing'`,
    [nodeId, ...keysOf(reports), ...figuresOf(reports), leaseMs],
  )
}

async function applyVerified(sql: Sql, nodeId: number, reports: readonly ReportOf<'verified'>[]): Promise<void> {
  if (reports.length === 0) return
  await sql.prepared(
    'apply-verified',
    `update replica r
        set state = 'verified', verified_at = now(), recheck = false, lease = null, lease_until = null, attempts = 0,
            done_bytes = v.bytes, done_blocks = v.blocks, phase = null, error = null, error_code = null,
            changed_at = now()
       from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as v (content_id, lease, bytes, blocks)
      where r.node_id = $1 and r.content_id = v.content_id and r.lease = v.lease and r.state <> 'releasing'`,
    [nodeId, ...keysOf(reports), ...figuresOf(reports)],
  )
}

/**
 * A copy that could not be read back stands for nothing until it was made whole: it is allocated again. The pause before
 * the next try doubles, with a share of chance so that many failures do not come back at once.
 */
async function applyFailed(
  sql: Sql,
  nodeId: number,
  reports: readonly ReportOf<'failed'>[],
  { retryMs, maxRetryMs }: ReportSettings,
): Promise<void> {
  if (reports.length === 0) return
  await sql.prepared(
    'apply-failed',
    `update replica r
        set state = case when r.state = 'releasing' then r.state when f.permanent then 'failed' else 'allocated' end,
            attempts = r.attempts + 1, lease = null, lease_until = null, recheck = false, verified_at = null,
            phase = null, error_code = f.code, error = f.message, changed_at = now(),
            due_at = now() + make_interval(secs =>
              least($5::float8, $4 * 2 ^ least(r.attempts, 30)) / 1000.0 * (0.75 + random() / 2))
       from unnest($2::bigint[], $3::bigint[], $6::text[], $7::text[], $8::boolean[])
              as f (content_id, lease, code, message, permanent)
      where r.node_id = $1 and r.content_id = f.content_id and r.lease = f.lease`,
    [
      nodeId,
      ...keysOf(reports),
      retryMs,
      maxRetryMs,
      reports.map(({ code }) => code),
      reports.map(({ message }) => message),
      reports.map(({ permanent }) => permanent),
    ],
  )
}

async function applyReleased(sql: Sql, nodeId: number, reports: readonly ReportOf<'released'>[]): Promise<void> {
  if (reports.length === 0) return
  await sql.prepared(
    'apply-released',
    `delete from replica r using unnest($2::bigint[], $3::bigint[]) as d (content_id, lease)
      where r.node_id = $1 and r.content_id = d.content_id and r.lease = d.lease and r.state = 'releasing'`,
    [nodeId, ...keysOf(reports)],
  )
}

function keysOf(reports: readonly Report[]): [string[], string[]] {
  return [reports.map(({ contentId }) => contentId), reports.map(({ lease }) => lease)]
}

function figuresOf(reports: readonly { bytes: number; blocks: number }[]): [number[], number[]] {
  return [reports.map(({ bytes }) => bytes), reports.map(({ blocks }) => blocks)]
}
