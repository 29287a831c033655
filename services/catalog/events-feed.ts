import { eventId, type AccountEvent, type EventPlace } from '../core/events.ts'
import type { Sql } from './database.ts'

/** Events of an account's stream are written down so long after somebody listened last. */
const LISTENING_MS = 30 * 86_400_000

/** Where the events of a tenant are now. From then on what happens very often is written down for it, too. */
export async function listenToEvents(sql: Sql, tenantId: number): Promise<EventPlace> {
  await sql.run(
    `insert into event_feed as f (tenant_id, listening_until) values ($1, now() + make_interval(secs => $2 / 1000.0))
     on conflict (tenant_id) do update set listening_until = excluded.listening_until
       where f.listening_until < now() + make_interval(secs => $2 / 2000.0)`,
    [tenantId, LISTENING_MS],
  )
  const [feed] = await sql.query<EventPlace>('select key as feed, place from event_feed where tenant_id = $1', [
    tenantId,
  ])
  return feed as EventPlace
}

/** Columns of an event `e` with its feed `f`. */
export const EVENT_COLUMNS = `f.key as feed, e.place, e.type, e.subject, e.created_at as at, e.data`

export type EventRow = EventPlace & Omit<AccountEvent, 'id'>

export function eventOf({ feed, place, type, subject, at, data }: EventRow): AccountEvent {
  return { id: eventId({ feed, place }), type, subject, at, data }
}

/** A tenant's events after a place, in their order. */
export async function readEvents(
  sql: Sql,
  tenantId: number,
  { after, limit }: { after: string; limit: number },
): Promise<{ place: string; event: AccountEvent }[]> {
  const rows = await sql.query<EventRow>(
    `select ${EVENT_COLUMNS} from event e join event_feed f on f.tenant_id = e.tenant_id
      where e.tenant_id = $1 and e.place > $2 order by e.place limit $3`,
    [tenantId, after, limit],
  )
  return rows.map((row) => ({ place: row.place, event: eventOf(row) }))
}
