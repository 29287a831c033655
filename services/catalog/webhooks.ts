import { randomBytes, randomUUIDv7 } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import { eventId, type EventPlace, type EventType } from '../core/events.ts'
import type { Database, Sql } from './database.ts'
import { raiseEvent } from './events.ts'
import type { Seal } from './sealed-secret.ts'
import { lockTenant } from './tenant-lock.ts'

/** Each may get every event of its tenant. */
const MAX_WEBHOOKS = 20
const SECRET_BYTES = 32

/** What a tenant asks for. */
export interface WantedWebhook {
  url: string
  /** Null: all. */
  types: readonly EventType[] | null
}

/** A webhook as its owner sees it. Times are text in UTC. */
export interface SavedWebhook {
  id: string
  url: string
  types: string[] | null
  createdAt: string
  disabledAt: string | null
  disabledReason: string | null
  /** Since then every attempt has failed. */
  failingSince: string | null
  /** Events that it is still to be told. */
  waiting: number
}

const COLUMNS = `w.id, w.url, w.types, w.created_at as "createdAt", w.disabled_at as "disabledAt",
  w.disabled_reason as "disabledReason", w.failing_since as "failingSince",
  (select count(*) from webhook_delivery d where d.webhook_id = w.id and d.status = 'waiting')::float8 as waiting`

/**
 * Makes a webhook. Its secret is in the answer and is not shown again.
 * @throws INSUFFICIENT_FUNDS when the tenant has too many
 */
export async function createWebhook(
  db: Database,
  tenantId: number,
  { url, types, seal }: WantedWebhook & { seal: Seal },
): Promise<{ webhook: SavedWebhook; secret: Buffer }> {
  const id = randomUUIDv7()
  const secret = randomBytes(SECRET_BYTES)
  return await db.transaction(async (sql) => {
    await lockTenant(sql, tenantId)
    const [webhook] = await sql.query<SavedWebhook>(
      `insert into webhook as w (id, tenant_id, url, types, secret)
       select $1, $2, $3, $4, $5 where (select count(*) from webhook where tenant_id = $2) < $6
       returning ${COLUMNS}`,
      [id, tenantId, url, types, seal.close(secret, about(id)), MAX_WEBHOOKS],
    )
    if (webhook === undefined)
      throw new HoldfastError('INSUFFICIENT_FUNDS', `An account may have ${MAX_WEBHOOKS} webhooks.`)
    return { webhook, secret }
  })
}

/** What the secret of a webhook is sealed for; in any other place it cannot be opened. */
export function about(webhookId: string): string {
  return `webhook ${webhookId}`
}

/** A tenant's webhooks in the order in which they were made, after that one. */
export function listWebhooks(
  sql: Sql,
  tenantId: number,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<SavedWebhook[]> {
  return sql.query<SavedWebhook>(
    `select ${COLUMNS} from webhook w where w.tenant_id = $1 and ($2::uuid is null or w.id > $2) order by w.id limit $3`,
    [tenantId, after ?? null, limit],
  )
}

export async function getWebhook(sql: Sql, tenantId: number, id: string): Promise<SavedWebhook | undefined> {
  const [webhook] = await sql.query<SavedWebhook>(
    `select ${COLUMNS} from webhook w where w.tenant_id = $1 and w.id = $2`,
    [tenantId, id],
  )
  return webhook
}

/**
 * Changes a webhook, and enables it again if it was disabled: it is told what happens from now on. What another URL
 * answers from now on says nothing of this one: what it was being told is told here.
 */
export async function replaceWebhook(
  sql: Sql,
  tenantId: number,
  id: string,
  { url, types }: WantedWebhook,
): Promise<SavedWebhook | undefined> {
  const [webhook] = await sql.query<SavedWebhook>(
    `update webhook w set url = $3, types = $4, disabled_at = null, disabled_reason = null, failures = 0,
            failing_since = null, paused_until = '-infinity',
            lease = case when w.url = $3 then w.lease else w.lease + 1 end,
            lease_until = case when w.url = $3 then w.lease_until else '-infinity' end,
            due_at = case when exists (select from webhook_delivery d where d.webhook_id = w.id and d.status = 'waiting')
                          then now() else w.due_at end
      where w.tenant_id = $1 and w.id = $2 returning ${COLUMNS}`,
    [tenantId, id, url, types],
  )
  return webhook
}

/**
 * Gives a webhook a new secret, which is in the answer and is not shown again. The one before signs beside it for
 * `keepOldMs`; one before that, no more.
 */
export async function rotateWebhookSecret(
  sql: Sql,
  tenantId: number,
  id: string,
  { keepOldMs, seal }: { keepOldMs: number; seal: Seal },
): Promise<{ webhook: SavedWebhook; secret: Buffer } | undefined> {
  const secret = randomBytes(SECRET_BYTES)
  const [webhook] = await sql.query<SavedWebhook>(
    `update webhook w set secret = $3, old_secret = case when $4::float8 > 0 then w.secret end,
            old_secret_until = now() + make_interval(secs => $4 / 1000.0)
      where w.tenant_id = $1 and w.id = $2 returning ${COLUMNS}`,
    [tenantId, id, seal.close(secret, about(id)), keepOldMs],
  )
  return webhook && { webhook, secret }
}

/** Answers whether the tenant had it. It is told nothing more but what is on its way. */
export async function deleteWebhook(sql: Sql, tenantId: number, id: string): Promise<boolean> {
  return (await sql.run('delete from webhook where tenant_id = $1 and id = $2', [tenantId, id])) > 0
}

/**
 * Lets a webhook be told an event that says nothing, also when it is disabled.
 * @returns false when the tenant has no such webhook
 * @throws TOO_MANY_REQUESTS while the last one was not told
 */
export async function testWebhook(db: Database, tenantId: number, id: string): Promise<boolean> {
  return await db.transaction(async (sql) => {
    const [webhook] = await sql.query('select from webhook where tenant_id = $1 and id = $2 for no key update', [
      tenantId,
      id,
    ])
    if (webhook === undefined) return false
    const [open] = await sql.query(
      `select from event e left join webhook_delivery d on d.event_id = e.id
        where e.tenant_id = $1 and e.type = 'webhook.test' and e.subject = $2
          and (e.place is null or d.status = 'waiting') limit 1`,
      [tenantId, id],
    )
    if (open !== undefined)
      throw new HoldfastError('TOO_MANY_REQUESTS', 'The test before is still on its way.', { retryAfterSeconds: 2 })
    await raiseEvent(sql, tenantId, { type: 'webhook.test', subject: id, data: {} })
    return true
  })
}

/** What came of telling a webhook one event. */
export interface Delivery {
  event: { id: string; type: string; subject: string; at: string }
  status: 'waiting' | 'delivered' | 'failed'
  attempts: number
  triedAt: string | null
  /** When it is tried again; null: not any more. */
  nextAt: string | null
  /** Of the last answer; null: there was none. */
  httpStatus: number | null
  /** Why the last attempt failed. */
  error: string | null
}

type DeliveryRow = Omit<Delivery, 'event'> & EventPlace & { type: string; subject: string; at: string }

/** The last deliveries of a tenant's webhook, the newest event first. */
export async function listDeliveries(sql: Sql, tenantId: number, id: string, limit: number): Promise<Delivery[]> {
  const rows = await sql.query<DeliveryRow>(
    `select f.key as feed, e.place, e.type, e.subject, e.created_at as at, d.status, d.attempts,
            d.tried_at as "triedAt", case when d.status = 'waiting' then d.next_at end as "nextAt",
            d.http_status as "httpStatus", d.error
       from webhook w
       join webhook_delivery d on d.webhook_id = w.id
       join event e on e.id = d.event_id
       join event_feed f on f.tenant_id = e.tenant_id
      where w.tenant_id = $1 and w.id = $2 order by d.event_id desc limit $3`,
    [tenantId, id, limit],
  )
  return rows.map(({ feed, place, type, subject, at, ...delivery }) => ({
    event: { id: eventId({ feed, place }), type, subject, at },
    ...delivery,
  }))
}
