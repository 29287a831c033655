import type { Database, Sql } from './database.ts'

/** Events of one tenant that are kept at most, beside the limit of time. */
const MAX_KEPT = 100_000

export interface PlacedEvents {
  /** Tenants that have something new. */
  tenants: number[]
  /** Whether a webhook has something new. */
  isForWebhooks: boolean
  /** Whether more may wait. */
  isFull: boolean
}

/**
 * Gives events that were committed their places among those of their tenant, and queues them for its webhooks. Any number
 * of processes may do it at once: each tenant's events are placed by one.
 */
export async function placeEvents(db: Database, limit: number): Promise<PlacedEvents> {
  return await db.transaction(async (sql) => {
    const waiting = await sql.query<{ tenantId: number }>(
      `select distinct tenant_id as "tenantId"
         from (select tenant_id from event where place is null order by id limit $1) as page`,
      [limit],
    )
    if (waiting.length === 0) return { tenants: [], isForWebhooks: false, isFull: false }
    const held = await holdFeeds(
      sql,
      waiting.map(({ tenantId }) => tenantId),
    )
    // A statement of its own: it sees what was committed before the feeds were held.
    const placed = await sql.query<{ tenantId: number; count: number; queued: number }>(
      `with page as (
         select id, tenant_id, type, subject, row_number() over (partition by tenant_id order by id) as nth
           from (select id, tenant_id, type, subject from event
                  where place is null and tenant_id = any ($1) order by id limit $2) as unplaced),
       moved as (
         update event_feed f set place = f.place + news.count
           from (select tenant_id, count(*) as count from page group by tenant_id) news
          where f.tenant_id = news.tenant_id returning f.tenant_id, f.place - news.count as base, news.count),
       placed as (
         update event e set place = moved.base + page.nth
           from page join moved using (tenant_id) where e.id = page.id),
       queued as (
         insert into webhook_delivery (webhook_id, event_id)
         select w.id, page.id from page join webhook w on w.tenant_id = page.tenant_id
          where case when page.type = 'webhook.test' then page.subject = w.id::text
                     else w.disabled_at is null and (w.types is null or page.type = any (w.types)) end
         returning webhook_id, event_id),
       roused as (
         update webhook w set due_at = least(w.due_at, case when q.is_test then now() else greatest(now(), w.paused_until) end)
           from (select webhook_id, bool_or(type = 'webhook.test') as is_test
                   from queued join page on page.id = queued.event_id group by webhook_id) q
          where w.id = q.webhook_id)
       select tenant_id as "tenantId", count::float8 as count, (select count(*) from queued)::float8 as queued from moved`,
      [held, limit],
    )
    return {
      tenants: placed.map(({ tenantId }) => tenantId),
      isForWebhooks: placed.some(({ queued }) => queued > 0),
      isFull: placed.reduce((sum, { count }) => sum + count, 0) >= limit,
    }
  })
}

/** Holds the feeds of those tenants to the end of the transaction that no other process holds. */
async function holdFeeds(sql: Sql, tenantIds: readonly number[]): Promise<number[]> {
  await sql.run(
    'insert into event_feed (tenant_id) select tenant_id from unnest($1::integer[]) as tenant_id on conflict do nothing',
    [tenantIds],
  )
  const rows = await sql.query<{ tenantId: number }>(
    `select tenant_id as "tenantId" from event_feed
      where tenant_id = any ($1) order by tenant_id for no key update skip locked`,
    [tenantIds],
  )
  return rows.map(({ tenantId }) => tenantId)
}

/** Forgets events that are old, and the oldest of tenants that have very many. @returns how many */
export async function pruneEvents(sql: Sql, { keptMs, limit }: { keptMs: number; limit: number }): Promise<number> {
  const old = await sql.run(
    `delete from event where id in (
       select id from event where created_at < now() - make_interval(secs => $1 / 1000.0) order by created_at limit $2)`,
    [keptMs, limit],
  )
  const surplus = await sql.run(
    `delete from event where id in (
       select e.id from event_feed f join event e on e.tenant_id = f.tenant_id and e.place <= f.place - $1
        where f.place > $1 limit $2)`,
    [MAX_KEPT, limit],
  )
  return old + surplus
}
