import type { EventType } from '../core/events.ts'
import type { Database, Sql } from './database.ts'
import { RECORD_COLUMNS, recordIn, writeRecords, type HeldName, type KeptRecord, type RecordRow } from './ipns-names.ts'
import { IS_ENDING, type NameMode } from './names.ts'

/** A name that could not be signed is tried again so soon. */
const POSTPONE_MS = 300_000

/**
 * Signs those of the names anew that are still due and that no other process holds just now. Whoever dies meanwhile lets go
 * of them with its connection.
 * @param sign undefined: it could not be done, and is tried again in five minutes
 * @returns how many were signed
 */
export async function resignNames(
  db: Database,
  names: readonly string[],
  sign: (held: HeldName & { record: KeptRecord }) => KeptRecord | undefined,
): Promise<number> {
  return await db.transaction(async (sql) => {
    const rows = await sql.query<RecordRow & { name: string; nowMs: number }>(
      `select name, ${RECORD_COLUMNS}, extract(epoch from clock_timestamp())::float8 * 1000 as "nowMs"
         from ipns_name where name = any ($1) and sign_at <= now() and record is not null
        order by name for update skip locked`,
      [names],
    )
    const signed: (KeptRecord & { name: string })[] = []
    const postponed: string[] = []
    for (const row of rows) {
      const { name, nowMs } = row
      const record = recordIn(row)
      const next = record && sign({ name, sequence: record.sequence, record, isInFeed: true, nowMs })
      if (next === undefined) postponed.push(name)
      else signed.push({ name, ...next })
    }
    await postpone(sql, postponed)
    await writeRecords(sql, signed)
    return signed.length
  })
}

async function postpone(sql: Sql, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await sql.run(`update ipns_name set sign_at = now() + make_interval(secs => $2 / 1000.0) where name = any ($1)`, [
    names,
    POSTPONE_MS,
  ])
}

/** Puts names off whose keys cannot be opened. */
export function postponeNames(db: Database, names: readonly string[]): Promise<void> {
  return postpone(db, names)
}

/** A name whose record ends soon, and that only its owner can publish again. */
export interface EndingName {
  tenantId: number
  name: string
  label: string | null
  mode: NameMode
  validUntil: string
}

/**
 * Names whose record is about to end, and whose owners are told so by an event; each record once, whichever process asks.
 */
export function takeEndingNames(sql: Sql, limit: number): Promise<EndingName[]> {
  return takeOnce(sql, limit, { type: 'name.ending', column: 'warned_at', condition: IS_ENDING })
}

/** Likewise names whose record has ended without a newer one. */
export function takeEndedNames(sql: Sql, limit: number): Promise<EndingName[]> {
  return takeOnce(sql, limit, {
    type: 'name.ended',
    column: 'ended_at',
    condition: 'i.sign_at is null and i.valid_until < now()',
  })
}

function takeOnce(
  sql: Sql,
  limit: number,
  { type, column, condition }: { type: EventType; column: 'warned_at' | 'ended_at'; condition: string },
): Promise<EndingName[]> {
  return sql.query<EndingName>(
    `with due as (
       select i.name from ipns_name i
        where i.version is not null and i.${column} is null and ${condition}
        order by i.valid_until limit $1 for update skip locked),
     noted as (
       update ipns_name i set ${column} = now() from due where i.name = due.name returning i.name, i.valid_until, i.target),
     owned as (
       select n.tenant_id, n.name, n.label, n.mode, noted.valid_until, noted.target
         from noted join name n on n.name = noted.name),
     told as (
       insert into event (tenant_id, type, subject, data)
       select tenant_id, $2, name,
              jsonb_build_object('label', label, 'mode', mode, 'value', target, 'validUntil',
                                 to_char(valid_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
         from owned)
     select tenant_id as "tenantId", name, label, mode, valid_until as "validUntil" from owned`,
    [limit, type],
  )
}
