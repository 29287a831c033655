import type { EventType } from '../core/events.ts'
import type { Sql } from './database.ts'

/** What happened to something of a tenant; see docs/webhooks.md for the types. */
export interface NewEvent {
  type: EventType
  /** What it happened to: a name, a collection, a request id. */
  subject: string
  /** What there is to know beside it; it becomes JSON. */
  data: Readonly<Record<string, unknown>>
}

/**
 * Tells what happened, in the transaction of what happened. Who announces `EVENTS` after the commit lets it be told at
 * once; otherwise it takes a second.
 */
export async function raiseEvent(sql: Sql, tenantId: number, { type, subject, data }: NewEvent): Promise<void> {
  await sql.run('insert into event (tenant_id, type, subject, data) values ($1, $2, $3, $4)', [
    tenantId,
    type,
    subject,
    JSON.stringify(data),
  ])
}

/**
 * Whether somebody listens to what happens very often to things of a tenant, and is not written down otherwise.
 * @param tenantId expression for its id
 * @param types of the events, as a text array
 * @returns the condition
 */
export function isListenedTo(tenantId: string, types: string): string {
  return `(exists (select from event_feed where tenant_id = ${tenantId} and listening_until > now())
    or exists (select from webhook where tenant_id = ${tenantId} and disabled_at is null
                  and (types is null or types && ${types})))`
}
