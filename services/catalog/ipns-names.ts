import { HoldfastError } from '../core/errors.ts'
import type { Sql } from './database.ts'

/** A verified record as the catalog keeps it. */
export interface KeptRecord {
  /** As it was signed. */
  bytes: Uint8Array
  /** 0 to 2^64 - 1. */
  sequence: bigint
  /** Its end, in nanoseconds since 1970. */
  validUntilNs: bigint
  ttlNs: bigint
  /** The content path that it says; null when it says none. */
  target: string | null
}

/** A name that is held by the transaction, so that nobody else changes its record meanwhile. */
export interface HeldName {
  name: string
  /** Of the newest record; 0 before the first. */
  sequence: bigint
  record: KeptRecord | undefined
  isInFeed: boolean
  /** The database's time: milliseconds since 1970. */
  nowMs: number
}

const NS_PER_MS = 1_000_000n
/** The largest time that both JavaScript and Postgres can write, in the year 9999. */
const LAST_MS = BigInt(Date.UTC(9999, 11, 31))
/** Records of a name that can be gone back to. */
const KEPT_RECORDS = 100

/** Holds a name until the transaction ends; makes it known when it was not. */
export async function holdName(sql: Sql, name: string): Promise<HeldName> {
  await sql.run('insert into ipns_name (name) values ($1) on conflict do nothing', [name])
  const [row] = await sql.query<RecordRow & { isInFeed: boolean; nowMs: number }>(
    `select ${RECORD_COLUMNS}, version is not null as "isInFeed",
            extract(epoch from clock_timestamp())::float8 * 1000 as "nowMs"
       from ipns_name where name = $1 for update`,
    [name],
  )
  if (row === undefined) throw new HoldfastError('UNAVAILABLE', 'The name could not be held. Try again.')
  const { isInFeed, nowMs } = row
  return { name, sequence: BigInt(row.sequence), record: recordIn(row), isInFeed, nowMs }
}

/**
 * Writes records of names that the transaction holds: newest record, history, feed. Nothing else may come after it in the
 * transaction, since all that publish wait for each other from here to the commit.
 */
export async function writeRecords(sql: Sql, records: readonly (KeptRecord & { name: string })[]): Promise<void> {
  if (records.length === 0) return
  const column = <T>(of: (record: KeptRecord & { name: string }) => T): T[] => records.map(of)
  await sql.run(
    `with news as (
       select * from unnest($1::text[], $2::numeric[], $3::bytea[], $4::text[], $5::numeric[], $6::timestamptz[], $7::numeric[])
         with ordinality as one (name, sequence, record, target, valid_until_ns, valid_until, ttl_ns, place)),
     ticket as (
       update name_feed set version = version + $8 returning version - $8 as base),
     written as (
       update ipns_name as known
          set sequence = news.sequence, record = news.record, target = news.target,
              valid_until_ns = news.valid_until_ns, valid_until = news.valid_until, ttl_ns = news.ttl_ns,
              received_at = clock_timestamp(), version = ticket.base + news.place, warned_at = null, ended_at = null,
              sign_at = case when exists (select from name join name_key on name_key.name_id = name.id
                                           where name.name = news.name)
                             then now() + (news.valid_until - now()) * (0.5 - 0.1 * random()) end
         from news, ticket where known.name = news.name)
     insert into name_record (name, sequence, record, target, valid_until)
     select name, sequence, record, target, valid_until from news
     on conflict (name, sequence) do update
       set record = excluded.record, target = excluded.target, valid_until = excluded.valid_until`,
    [
      column(({ name }) => name),
      column(({ sequence }) => sequence.toString()),
      column(({ bytes }) => Buffer.from(bytes)),
      column(({ target }) => target),
      column(({ validUntilNs }) => validUntilNs.toString()),
      column(({ validUntilNs }) => timeOf(validUntilNs)),
      column(({ ttlNs }) => ttlNs.toString()),
      records.length,
    ],
  )
}

/** Tells all tenants that have a held name of a record with a new sequence; one that only ends later is not news. */
export async function raisePublished(sql: Sql, held: HeldName, record: KeptRecord): Promise<void> {
  if (held.record !== undefined && record.sequence === held.sequence) return
  await sql.run(
    `insert into event (tenant_id, type, subject, data)
     select n.tenant_id, 'name.published', n.name,
            jsonb_build_object('label', n.label, 'mode', n.mode, 'value', $2::text, 'sequence', $3::text)
       from name n where n.name = $1`,
    [held.name, record.target, record.sequence.toString()],
  )
}

/** Makes room in a name's history for one more. */
export async function trimHistory(sql: Sql, name: string): Promise<void> {
  await sql.run(
    `delete from name_record where name = $1 and sequence <=
       (select sequence from name_record where name = $1 order by sequence desc offset $2 limit 1)`,
    [name, KEPT_RECORDS - 1],
  )
}

/** Columns of ipns_name for {@link recordIn}. Numbers of 64 bits are decimal text. */
export const RECORD_COLUMNS = `sequence, record, target, valid_until_ns as "validUntilNs", ttl_ns as "ttlNs"`

export interface RecordRow {
  sequence: string
  record: Buffer | null
  target: string | null
  validUntilNs: string | null
  ttlNs: string | null
}

export function recordIn({ sequence, record, target, validUntilNs, ttlNs }: RecordRow): KeptRecord | undefined {
  if (record === null) return undefined
  return {
    bytes: record,
    sequence: BigInt(sequence),
    validUntilNs: BigInt(validUntilNs ?? 0),
    ttlNs: BigInt(ttlNs ?? 0),
    target,
  }
}

function timeOf(ns: bigint): string {
  const ms = ns / NS_PER_MS
  return new Date(Number(ms > LAST_MS ? LAST_MS : ms)).toISOString()
}
