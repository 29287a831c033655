import type { PinStatus } from '../core/pin.ts'
import type { Sql } from './database.ts'
import { isListenedTo } from './events.ts'
import type { Decision } from './reconcile-write.ts'

/** A copy verified this long before a pin was made is evidence for that pin. */
const EVIDENCE_WINDOW = '10 minutes'

/** Types of the events that tell a status. */
const PIN_EVENTS = `array['pin.pinned', 'pin.failed']`

export interface SettledPin {
  tenantId: number
  requestId: string
  status: PinStatus
}

/**
 * Sets the status of every pin of the contents to what their evidence allows, and answers those that changed. A pin over its
 * own or its tenant's limit of bytes fails, whoever else has the content. Tenants that listen are told in the same statement.
 */
export async function settlePins(sql: Sql, decisions: readonly Decision[]): Promise<SettledPin[]> {
  const rules = decisions.flatMap(({ contentId, statuses }) => statuses.map((rule) => ({ contentId, ...rule })))
  if (rules.length === 0) return []
  return await sql.prepared<SettledPin>(
    'settle-pins',
    `with settled as (
     update pin p
        set status = v.status, status_at = now()
       from (select p.tenant_id, p.id,
                    case when c.bytes > least(u.max_pin_bytes, p.max_bytes) then 'failed'
                         when p.created_at <= e.evidence_at + $6::interval then 'pinned'
                         when e.keeps and p.status = 'pinned' then 'pinned'
                         else e.otherwise end as status
               from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::boolean[], $5::text[])
                      as e (content_id, policy_id, evidence_at, keeps, otherwise)
               join pin p on p.content_id = e.content_id and p.policy_id = e.policy_id
               join content c on c.id = e.content_id
               join tenant_usage u on u.tenant_id = p.tenant_id) v
      where p.tenant_id = v.tenant_id and p.id = v.id and p.status <> v.status
      returning p.tenant_id, p.id, p.status, p.cid, p.name),
     told as (
       insert into event (tenant_id, type, subject, data)
       select s.tenant_id, 'pin.' || s.status, s.id, jsonb_build_object('cid', s.cid, 'name', s.name)
         from settled s where s.status in ('pinned', 'failed') and ${isListenedTo('s.tenant_id', PIN_EVENTS)})
     select tenant_id as "tenantId", id as "requestId", status from settled`,
    [
      rules.map(({ contentId }) => contentId),
      rules.map(({ policyId }) => policyId),
      rules.map(({ evidenceAt }) => evidenceAt),
      rules.map(({ keeps }) => keeps),
      rules.map(({ otherwise }) => otherwise),
      EVIDENCE_WINDOW,
    ],
  )
}

/**
 * Pins are waiting although enough copies were verified: too long before they were made, or before the node's present
 * session. Lets the holders read them back.
 * @returns the nodes to wake
 */
export async function requestEvidence(sql: Sql, contentIds: readonly string[]): Promise<number[]> {
  if (contentIds.length === 0) return []
  const rows = await sql.prepared<{ nodeId: number }>(
    'request-evidence',
    `update replica r set recheck = true, prio = 2, due_at = now()
       from (select content_id, max(created_at) as newest from pin
              where content_id = any ($1) and status in ('queued', 'pinning') group by content_id) waiting,
            node n
      where r.content_id = waiting.content_id and n.id = r.node_id and n.liveness = 'up'
        and r.state = 'verified' and not r.recheck and r.lease is null
        and (r.verified_at < waiting.newest - $2::interval
             or (n.inventory_at is null and r.verified_at < n.registered_at))
      returning r.node_id as "nodeId"`,
    [contentIds, EVIDENCE_WINDOW],
  )
  return rows.map(({ nodeId }) => nodeId)
}
