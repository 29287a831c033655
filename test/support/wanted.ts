import { createHash, randomUUID } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import type { Database, Sql } from '../../services/catalog/database.ts'
import { enqueue } from '../../services/catalog/reconcile-queue.ts'
import type { Wakes } from '../../services/catalog/wake.ts'
import { cidKey, RAW, SHA2_256 } from '../../services/core/cid.ts'
import type { PinStatus } from '../../services/core/pin.ts'
import { DEFAULT_POLICY, type Policy } from '../../services/core/policy.ts'

/** A root that exists nowhere yet; the same number is the same root. */
export function rootNumber(number: number): string {
  return cidKey(CID.createV1(RAW, create(SHA2_256, createHash('sha256').update(`root ${number}`).digest())))
}

/** A tenant with one policy. */
export interface Tenant {
  tenantId: number
  policyId: number
}

export async function newTenant(db: Database, policy: Policy = DEFAULT_POLICY): Promise<Tenant> {
  const name = randomUUID()
  const [tenant] = await db.query<{ id: number }>('insert into tenant (name) values ($1) returning id', [name])
  const tenantId = tenant?.id ?? 0
  await db.run('insert into tenant_usage (tenant_id) values ($1)', [tenantId])
  const [row] = await db.query<{ id: number }>(
    `insert into policy (tenant_id, name, spec, copies_min, copies_target) values ($1, $2, $3, $4, $5) returning id`,
    [tenantId, name, JSON.stringify(policy), policy.copies.min, policy.copies.target],
  )
  return { tenantId, policyId: row?.id ?? 0 }
}

/** An accepted pin, as rows: what the scheduler starts from. */
export interface WantedPin {
  id: string
  contentId: string
}

export async function pinRoot(
  { db, wakes }: { db: Database; wakes: Wakes },
  { tenantId, policyId }: Tenant,
  root: string,
  replaces?: WantedPin,
): Promise<WantedPin> {
  const id = randomUUID()
  const contentId = await db.transaction(async (sql) => {
    await sql.query('select from tenant_usage where tenant_id = $1 for update', [tenantId])
    const [content] = await sql.query<{ id: string }>(
      `insert into content (cid, pins, idle_since) values ($1, 1, null)
       on conflict (cid) do update set pins = content.pins + 1, idle_since = null returning id`,
      [Buffer.from(CID.parse(root).bytes)],
    )
    await sql.run(
      `insert into pin (tenant_id, id, content_id, policy_id, cid, created_at, replaces_content_id)
       values ($1, $2, $3, $4, $5, clock_timestamp(), $6)`,
      [tenantId, id, content?.id, policyId, root, replaces?.contentId ?? null],
    )
    await sql.run(
      `insert into content_policy (content_id, policy_id, pins) values ($1, $2, 1)
       on conflict (content_id, policy_id) do update set pins = content_policy.pins + 1`,
      [content?.id, policyId],
    )
    await enqueue(sql, [content?.id ?? ''])
    return content?.id ?? ''
  })
  wakes.announce('reconcile')
  return { id, contentId }
}

export async function unpin(
  { db, wakes }: { db: Database; wakes: Wakes },
  { tenantId, policyId }: Tenant,
  { id, contentId }: WantedPin,
): Promise<void> {
  await db.transaction(async (sql) => {
    await sql.query('select from tenant_usage where tenant_id = $1 for update', [tenantId])
    await sql.query('select from content where id = $1 for update', [contentId])
    await sql.run('delete from pin where tenant_id = $1 and id = $2', [tenantId, id])
    await sql.run(
      `update content set pins = pins - 1, idle_since = case when pins = 1 then clock_timestamp() end where id = $1`,
      [contentId],
    )
    await sql.run('update content_policy set pins = pins - 1 where content_id = $1 and policy_id = $2', [
      contentId,
      policyId,
    ])
    await enqueue(sql, [contentId])
  })
  wakes.announce('reconcile')
}

export async function statusOf(sql: Sql, { id }: WantedPin): Promise<PinStatus | undefined> {
  const [row] = await sql.query<{ status: PinStatus }>('select status from pin where id = $1', [id])
  return row?.status
}

/** States of a content's replicas by the names of their nodes. */
export async function statesOf(sql: Sql, { contentId }: { contentId: string }): Promise<Record<string, string>> {
  const rows = await sql.query<{ name: string; state: string }>(
    `select n.name, r.state from replica r join node n on n.id = r.node_id where r.content_id = $1 order by n.name`,
    [contentId],
  )
  return Object.fromEntries(rows.map(({ name, state }) => [name, state]))
}
