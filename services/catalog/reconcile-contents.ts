import { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import type { Policy } from '../core/policy.ts'
import type { PlacedReplica } from '../core/replica.ts'
import type { Sql } from './database.ts'

/** All that is known of one root, for whoever decides what becomes of it. */
export interface ContentCase {
  contentId: string
  /** CIDv1, base32. */
  root: string
  /** Of the whole DAG, once a holder measured it. */
  bytes: number | undefined
  /** How long no pin has wanted it; undefined while one does. */
  idleMs: number | undefined
  isGivenUp: boolean
  /** Distinct policies of its pins. */
  policies: { policyId: number; policy: Policy }[]
  replicas: ReplicaCase[]
}

export interface ReplicaCase extends PlacedReplica {
  prio: number
  isLeased: boolean
  /** Waits for a decision, not for a time. */
  isParked: boolean
  isRechecked: boolean
  doneBytes: number
  /** RFC 3339 with microseconds: comparable as text. */
  verifiedAt: string | null
  verifiedAgoMs: number | null
  /** Seen in the node's present session: verified, or confirmed by its inventory. */
  isAttested: boolean
  errorCode: string | null
  error: string | null
}

/**
 * Locks contents and their replicas until the transaction ends and reads them. Contents that another transaction has
 * locked are left out: they are to be asked for again.
 */
export async function lockContents(sql: Sql, contentIds: readonly string[]): Promise<ContentCase[]> {
  const contents = await sql.prepared<ContentRow>(
    'reconcile-lock-contents',
    `select c.id as "contentId", c.cid, c.bytes::float8 as bytes,
            case when c.pins = 0 then extract(epoch from now() - c.idle_since)::float8 * 1000 end as "idleMs",
            c.given_up is not null as "isGivenUp"
       from content c where c.id = any ($1) order by c.id for no key update of c skip locked`,
    [contentIds],
  )
  const locked = contents.map(({ contentId }) => contentId)
  const [policies, replicas] = [await readPolicies(sql, locked), await readReplicas(sql, locked, 'for update of r')]
  return contents.map((content) => assemble(content, policies, replicas))
}

/** Those of the contents that exist. */
export async function existing(sql: Sql, contentIds: readonly string[]): Promise<Set<string>> {
  if (contentIds.length === 0) return new Set()
  const rows = await sql.query<{ id: string }>(`select id from content where id = any ($1)`, [contentIds])
  return new Set(rows.map(({ id }) => id))
}

/** What {@link lockContents} answers of one root, without locks; undefined when there is no such content. */
export async function readContent(sql: Sql, contentId: string): Promise<ContentCase | undefined> {
  const [content] = await readContents(sql, [contentId])
  return content
}

/** Like {@link readContent}, of several; in the order of ids. */
export async function readContents(sql: Sql, contentIds: readonly string[]): Promise<ContentCase[]> {
  const contents = await sql.query<ContentRow>(
    `select c.id as "contentId", c.cid, c.bytes::float8 as bytes,
            case when c.pins = 0 then extract(epoch from now() - c.idle_since)::float8 * 1000 end as "idleMs",
            c.given_up is not null as "isGivenUp"
       from content c where c.id = any ($1) order by c.id`,
    [contentIds],
  )
  const [policies, replicas] = [await readPolicies(sql, contentIds), await readReplicas(sql, contentIds, '')]
  return contents.map((content) => assemble(content, policies, replicas))
}

interface ContentRow {
  contentId: string
  cid: Uint8Array
  bytes: number | null
  idleMs: number | null
  isGivenUp: boolean
}

function assemble(
  content: ContentRow,
  policies: Map<string, ContentCase['policies']>,
  replicas: Map<string, ReplicaCase[]>,
): ContentCase {
  const { contentId, cid, bytes, idleMs, isGivenUp } = content
  return {
    contentId,
    root: cidKey(CID.decode(cid)),
    bytes: bytes ?? undefined,
    idleMs: idleMs ?? undefined,
    isGivenUp,
    policies: policies.get(contentId) ?? [],
    replicas: replicas.get(contentId) ?? [],
  }
}

async function readPolicies(sql: Sql, contentIds: readonly string[]): Promise<Map<string, ContentCase['policies']>> {
  const rows = await sql.prepared<{ contentId: string; policyId: number; policy: Policy }>(
    'reconcile-read-policies',
    `select cp.content_id as "contentId", cp.policy_id as "policyId", p.spec as policy
       from content_policy cp join policy p on p.id = cp.policy_id
      where cp.content_id = any ($1) and cp.pins > 0
      order by cp.content_id, cp.policy_id`,
    [contentIds],
  )
  return grouped(rows, ({ policyId, policy }) => ({ policyId, policy }))
}

async function readReplicas(
  sql: Sql,
  contentIds: readonly string[],
  lock: 'for update of r' | '',
): Promise<Map<string, ReplicaCase[]>> {
  const rows = await sql.prepared<ReplicaCase & { contentId: string }>(
    lock === '' ? 'reconcile-read-replicas' : 'reconcile-lock-replicas',
    `select r.content_id as "contentId", r.node_id as "nodeId", r.state, r.attempts, r.prio,
            r.lease is not null as "isLeased", r.due_at = 'infinity' as "isParked", r.recheck as "isRechecked",
            r.done_bytes::float8 as "doneBytes", r.verified_at as "verifiedAt",
            extract(epoch from now() - r.verified_at)::float8 * 1000 as "verifiedAgoMs",
            coalesce(r.verified_at >= n.registered_at or n.inventory_at is not null, false) as "isAttested",
            r.error_code as "errorCode", r.error
       from replica r join node n on n.id = r.node_id
      where r.content_id = any ($1)
      order by r.content_id, r.node_id ${lock}`,
    [contentIds],
  )
  return grouped(rows, (row): ReplicaCase => row)
}

function grouped<Row extends { contentId: string }, T>(rows: readonly Row[], item: (row: Row) => T): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) {
    const group = groups.get(row.contentId)
    if (group === undefined) groups.set(row.contentId, [item(row)])
    else group.push(item(row))
  }
  return groups
}
