import type { CID } from 'multiformats/cid'
import { toV1 } from '../core/cid.ts'
import type { Sql } from './database.ts'
import { enqueue } from './reconcile-queue.ts'

/**
 * Locks are taken in one order everywhere, so that nobody waits for somebody who waits for him: tenant_usage, content
 * (new rows by CID, then all by id), pin and content_policy, replica, reconcile_queue.
 */

/** A DAG root that was locked for the transaction. */
export interface LockedContent {
  id: string
  /** It had been given up; whoever wants it again starts afresh. */
  gaveUp: boolean
}

/** The key of a root in maps. */
export function contentKey(cid: CID): string {
  return Buffer.from(toV1(cid).bytes).toString('base64')
}

/** Makes rows for the roots that have none. */
export async function makeContents(sql: Sql, cids: readonly Buffer[]): Promise<void> {
  // In the order of CIDs, so that transactions which make the same ones wait for each other in one direction.
  await sql.prepared(
    'make-contents',
    `insert into content (cid)
     select wanted.cid from unnest($1::bytea[]) with ordinality as wanted (cid, place)
     where not exists (select from content c where c.cid = wanted.cid)
     order by place
     on conflict (cid) do nothing`,
    [cids],
  )
}

/** Locks the rows of these roots, made where there are none, and answers them by {@link contentKey}. */
export async function lockContents(sql: Sql, keys: readonly string[]): Promise<Map<string, LockedContent>> {
  const cids = [...new Set(keys)].map((key) => Buffer.from(key, 'base64')).sort((a, b) => Buffer.compare(a, b))
  for (;;) {
    const [, rows] = await Promise.all([makeContents(sql, cids), readLocked(sql, cids)])
    // A row that was collected between the two statements is made again.
    if (rows.length === cids.length) return new Map(rows.map(({ cid, ...row }) => [cid.toString('base64'), row]))
  }
}

function readLocked(sql: Sql, cids: readonly Buffer[]): Promise<(LockedContent & { cid: Buffer })[]> {
  return sql.prepared(
    'lock-contents',
    `select id, cid, given_up is not null as "gaveUp" from content where cid = any ($1) order by id for no key update`,
    [cids],
  )
}

/** Locks the rows of these contents; those that are gone are left out. */
export async function lockContentIds(sql: Sql, ids: readonly string[]): Promise<void> {
  await sql.prepared('lock-content-ids', 'select from content where id = any ($1) order by id for no key update', [ids])
}

/** One pin's claim on a content, by a policy. */
export interface Reference {
  contentId: string
  policyId: number
}

/** Takes claims back. The contents must be locked. What nobody claims any more is idle from now on. */
export async function dropReferences(sql: Sql, references: readonly Reference[]): Promise<void> {
  if (references.length === 0) return
  const contentIds = references.map(({ contentId }) => contentId)
  const policyIds = references.map(({ policyId }) => policyId)
  await sql.prepared(
    'drop-content-references',
    `update content c
        set pins = c.pins - dropped.pins,
            idle_since = case when c.pins - dropped.pins = 0 then now() else c.idle_since end
       from (select id, count(*)::int as pins from unnest($1::bigint[]) as id group by id) as dropped
      where c.id = dropped.id`,
    [contentIds],
  )
  await dropPolicyReferences(sql, contentIds, policyIds)
  await enqueue(sql, contentIds)
}

async function dropPolicyReferences(
  sql: Sql,
  contentIds: readonly string[],
  policyIds: readonly number[],
): Promise<void> {
  await sql.prepared(
    'drop-policy-references',
    `update content_policy r set pins = r.pins - dropped.pins
       from (select content_id, policy_id, count(*)::int as pins
               from unnest($1::bigint[], $2::int[]) as claim (content_id, policy_id)
              group by content_id, policy_id) as dropped
      where r.content_id = dropped.content_id and r.policy_id = dropped.policy_id`,
    [contentIds, policyIds],
  )
  await sql.prepared(
    'drop-unused-policies',
    'delete from content_policy where content_id = any ($1) and policy_id = any ($2) and pins <= 0',
    [contentIds, policyIds],
  )
}

/** Lets claims follow another policy. The contents must be locked. */
export async function moveReferences(sql: Sql, references: readonly Reference[], policyId: number): Promise<void> {
  if (references.length === 0) return
  const contentIds = references.map(({ contentId }) => contentId)
  const policyIds = references.map((reference) => reference.policyId)
  await dropPolicyReferences(sql, contentIds, policyIds)
  await sql.run(
    `insert into content_policy (content_id, policy_id, pins)
     select id, $2, count(*) from unnest($1::bigint[]) as id group by id order by id
     on conflict (content_id, policy_id) do update set pins = content_policy.pins + excluded.pins`,
    [contentIds, policyId],
  )
  await enqueue(sql, contentIds, PRIORITY_OF_MOVES)
}

/** Behind healing and new pins. */
const PRIORITY_OF_MOVES = 3
