import type { Sql } from './database.ts'

/** What happened to something of a tenant; see docs/webhooks.md for the types. */
export interface NewEvent {
  type: string
  /** What it happened to: a name, a collection, a request id. */
  subject: string
  /** What there is to know beside it; it becomes JSON. */
  data: Readonly<Record<string, unknown>>
}

/** Tells what happened, in the transaction of what happened. */
export async function raiseEvent(sql: Sql, tenantId: number, { type, subject, data }: NewEvent): Promise<void> {
  await sql.run('insert into event (tenant_id, type, subject, data) values ($1, $2, $3, $4)', [
    tenantId,
    type,
    subject,
    JSON.stringify(data),
  ])
}
