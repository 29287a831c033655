import type { AccountEvent } from '../core/events.ts'
import type { Database, Sql } from './database.ts'
import { EVENT_COLUMNS, eventOf, type EventRow } from './events-feed.ts'
import type { Seal } from './sealed-secret.ts'
import { about } from './webhooks.ts'

/** Webhooks of one tenant that are told something at once, over all processes: a tenant's slow servers hold up its own. */
const TENANT_SHARE = 4
/** Whoever took a webhook and has not said by then what came of it has died. */
const LEASE_MS = 60_000
/**
 * An event that a webhook did not take is told again after this, then after four times as long, and so on. So is a webhook
 * that has failed with all that it was told, so that a dead one costs next to nothing however much waits for it.
 */
const FIRST_PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = { event: 4 * 3_600_000, webhook: 600_000 }
/** An attempt that fails later than this after an event was queued is its last. */
const GIVE_UP_MS = 86_400_000
/** A webhook that has failed for so long is disabled when an event is given up. */
const DISABLE_MS = 3 * 86_400_000

/** A webhook that this process tells something, and nobody else meanwhile. */
export interface TakenWebhook {
  id: string
  tenantId: number
  url: string
  /** The present one, then the one before for as long as it is kept; none when they were sealed with another key. */
  secrets: Buffer[]
  lease: string
  /** Attempts that failed since one was answered well. */
  failures: number
  /** The database's time: seconds since 1970. */
  nowSeconds: number
}

/** Takes the webhook that has waited longest of those that are to be told something. */
export async function takeWebhook(sql: Sql, seal: Seal): Promise<TakenWebhook | undefined> {
  const [row] = await sql.query<Omit<TakenWebhook, 'secrets'> & { sealed: Buffer[] }>(
    `with ready as (
       select w.id from webhook w
        where w.due_at <= now() and w.lease_until <= now()
          and (select count(*) from webhook o where o.tenant_id = w.tenant_id and o.lease_until > now()) < $1
        order by w.due_at limit 1 for no key update skip locked)
     update webhook w set lease = w.lease + 1, lease_until = now() + make_interval(secs => $2 / 1000.0)
       from ready where w.id = ready.id
     returning w.id, w.tenant_id as "tenantId", w.url, w.lease, w.failures,
               array_remove(array[w.secret, case when w.old_secret_until > now() then w.old_secret end], null) as sealed,
               floor(extract(epoch from now()))::float8 as "nowSeconds"`,
    [TENANT_SHARE, LEASE_MS],
  )
  if (row === undefined) return undefined
  const { sealed, ...webhook } = row
  return { ...webhook, secrets: sealed.flatMap((secret) => opened(seal, row.id, secret)) }
}

function opened(seal: Seal, id: string, secret: Buffer): Buffer[] {
  try {
    return [seal.open(secret, about(id))]
  } catch {
    return []
  }
}

/** An event that a webhook is to be told now. */
export interface DueDelivery {
  /** Of the row. */
  eventId: string
  event: AccountEvent
}

/** What a webhook is to be told now, in the order of the events; a test comes first. */
export async function dueDeliveries(sql: Sql, webhookId: string, limit: number): Promise<DueDelivery[]> {
  const rows = await sql.query<EventRow & { eventId: string }>(
    `select d.event_id as "eventId", ${EVENT_COLUMNS}
       from webhook_delivery d
       join event e on e.id = d.event_id
       join event_feed f on f.tenant_id = e.tenant_id
      where d.webhook_id = $1 and d.status = 'waiting' and d.next_at <= now()
      order by e.type <> 'webhook.test', e.place limit $2`,
    [webhookId, limit],
  )
  return rows.map(({ eventId, ...row }) => ({ eventId, event: eventOf(row) }))
}

/** What came of one attempt. */
export interface AttemptOutcome {
  eventId: string
  httpStatus: number | null
  /** Null: it was answered well. */
  error: string | null
}

/**
 * Notes what came of a webhook's attempts, and when it has something to be told again.
 * @param goneReason the webhook is disabled for it
 * @returns why the webhook was disabled, if it was
 */
export async function noteAttempts(
  db: Database,
  { id, lease }: Pick<TakenWebhook, 'id' | 'lease'>,
  outcomes: readonly AttemptOutcome[],
  goneReason?: string,
): Promise<string | undefined> {
  return await db.transaction(async (sql) => {
    const held = await sql.query('select from webhook where id = $1 and lease = $2 for no key update', [id, lease])
    if (held.length === 0) return undefined
    const attempts = await writeOutcomes(sql, id, outcomes)
    await countFailures(sql, id, attempts)
    const isHopeless = attempts.some(({ isTest, status }) => !isTest && status === 'failed')
    const reason = goneReason ?? (isHopeless ? await hopelessness(sql, id) : undefined)
    if (reason !== undefined) await disable(sql, id, reason)
    await letGo(sql, id)
    return reason
  })
}

interface Attempt {
  status: 'waiting' | 'delivered' | 'failed'
  isTest: boolean
}

/** A test is tried once. */
function writeOutcomes(sql: Sql, id: string, outcomes: readonly AttemptOutcome[]): Promise<Attempt[]> {
  return sql.query<Attempt>(
    `update webhook_delivery d
        set attempts = d.attempts + 1, tried_at = now(), http_status = o.http_status, error = o.error,
            status = case when o.error is null then 'delivered'
                          when e.type = 'webhook.test' or d.created_at < now() - make_interval(secs => $5 / 1000.0)
                            then 'failed'
                          else 'waiting' end,
            next_at = now() + make_interval(secs =>
              least($6 / 1000.0 * power(4, least(d.attempts, 20)), $7 / 1000.0) * (0.9 + 0.2 * random()))
       from unnest($2::bigint[], $3::integer[], $4::text[]) as o (event_id, http_status, error)
       join event e on e.id = o.event_id
      where d.webhook_id = $1 and d.event_id = o.event_id and d.status = 'waiting'
      returning d.status, e.type = 'webhook.test' as "isTest"`,
    [
      id,
      outcomes.map(({ eventId }) => eventId),
      outcomes.map(({ httpStatus }) => httpStatus),
      outcomes.map(({ error }) => error),
      GIVE_UP_MS,
      FIRST_PAUSE_MS,
      LONGEST_PAUSE_MS.event,
    ],
  )
}

/** A test that fails says nothing: whoever asks for it may know that nobody is there yet. */
async function countFailures(sql: Sql, id: string, attempts: readonly Attempt[]): Promise<void> {
  const isWell = attempts.some(({ status }) => status === 'delivered')
  if (!isWell && attempts.every(({ isTest }) => isTest)) return
  await sql.run(
    `update webhook set failures = case when $2 then 0 else failures + 1 end,
            failing_since = case when $2 then null else coalesce(failing_since, now()) end,
            paused_until = case when $2 then '-infinity' else now() + make_interval(secs =>
              least($3 / 1000.0 * power(4, least(failures, 20)), $4 / 1000.0)) end
      where id = $1`,
    [id, isWell, FIRST_PAUSE_MS, LONGEST_PAUSE_MS.webhook],
  )
}

async function hopelessness(sql: Sql, id: string): Promise<string | undefined> {
  const [row] = await sql.query<{ error: string | null }>(
    `select (select d.error from webhook_delivery d where d.webhook_id = w.id and d.error is not null
              order by d.tried_at desc limit 1) as error
       from webhook w where w.id = $1 and w.failing_since < now() - make_interval(secs => $2 / 1000.0)`,
    [id, DISABLE_MS],
  )
  return row && `For three days no attempt was answered well. The last one: ${row.error ?? 'no answer'}`
}

async function disable(sql: Sql, id: string, reason: string): Promise<void> {
  await sql.run('update webhook set disabled_at = coalesce(disabled_at, now()), disabled_reason = $2 where id = $1', [
    id,
    reason,
  ])
  await sql.run(
    `update webhook_delivery set status = 'failed', error = coalesce(error, 'The webhook was disabled.')
      where webhook_id = $1 and status = 'waiting'`,
    [id],
  )
}

/** A statement of its own after the webhook was held: it sees all that was queued before. */
async function letGo(sql: Sql, id: string): Promise<void> {
  await sql.run(
    `update webhook w
        set lease_until = '-infinity',
            due_at = coalesce((select greatest(min(d.next_at), w.paused_until) from webhook_delivery d
                                where d.webhook_id = w.id and d.status = 'waiting'
                               having count(*) > 0), 'infinity')
      where w.id = $1`,
    [id],
  )
}
