import type { Sql } from './database.ts'

/** Names of the feed that become due in one statement. */
const PAGE = 500
/** Whoever has taken a name and has not said by then what came of it has died. */
const TAKEN_MS = 180_000
/** A target that did not take a record is told again after this, then after twice the time, and so on. */
const FIRST_RETRY_MS = 10_000
const LAST_RETRY_MS = 3_600_000

/** Makes a target known; a new one is to be told every name of the feed. */
export async function ensureTarget(sql: Sql, target: string): Promise<void> {
  await sql.run('insert into put_target (target) values ($1) on conflict do nothing', [target])
}

/**
 * Has a target told at once what has come in the feed since it was followed last. Of several processes one does it.
 * @returns whether there may be more
 */
export async function followFeed(sql: Sql, target: string): Promise<boolean> {
  const [row] = await sql.query<{ count: number }>(
    `with place as (select version from put_target where target = $1 for update skip locked),
     page as (
       select i.name, i.version from place,
         lateral (select name, version from ipns_name where version > place.version order by version limit $2) i),
     moved as (
       update put_target set version = (select max(version) from page)
        where target = $1 and exists (select from page)),
     told as (
       insert into name_target as known (target, name, wanted, next_at) select $1, name, version, now() from page
       on conflict (target, name) do update set wanted = excluded.wanted, failures = 0, next_at = now()
         where known.version is distinct from excluded.wanted)
     select count(*)::integer as count from page`,
    [target, PAGE],
  )
  return row?.count === PAGE
}

/** A record that a target is to be told. */
export interface DuePut {
  name: string
  record: Buffer
  /** Its place in the feed. */
  version: string
}

/**
 * Takes names that a target is to be told of, those that wait longest first. Each is given to one process; what came of
 * it is to be said by {@link notePuts}. Names that nobody has any more and records that have ended are told no more.
 */
export async function takeDuePuts(sql: Sql, target: string, limit: number): Promise<{ taken: number; due: DuePut[] }> {
  const rows = await sql.query<{ name: string; record: Buffer | null; version: string | null }>(
    `with due as (
       select name from name_target where target = $1 and next_at <= now()
        order by next_at limit $2 for update skip locked),
     taken as (
       update name_target t set next_at = now() + make_interval(secs => $3 / 1000.0)
         from due where t.target = $1 and t.name = due.name returning t.name)
     select taken.name, i.record, i.version
       from taken left join ipns_name i on i.name = taken.name and i.version is not null and i.valid_until > now()`,
    [target, limit, TAKEN_MS],
  )
  const due = rows.flatMap(({ name, record, version }) =>
    record === null || version === null ? [] : [{ name, record, version }],
  )
  const over = rows.filter(({ version }) => version === null).map(({ name }) => name)
  if (over.length > 0) await forget(sql, target, over)
  return { taken: rows.length, due }
}

/** A record that has come meanwhile stays; one that comes later is found in the feed. */
async function forget(sql: Sql, target: string, names: readonly string[]): Promise<void> {
  await sql.run(
    `delete from name_target t where t.target = $1 and t.name = any ($2) and not exists (
       select from ipns_name i where i.name = t.name and i.version is not null and i.valid_until > now())`,
    [target, names],
  )
}

/** What came of telling a target one record. */
export type PutOutcome = Pick<DuePut, 'name' | 'version'> & ({ peers?: number } | { error: string })

/** Notes what came of it, and when the target is to be told again: `everyMs` (give or take a tenth) after a success. */
export async function notePuts(
  sql: Sql,
  target: string,
  outcomes: readonly PutOutcome[],
  everyMs: number,
): Promise<void> {
  if (outcomes.length === 0) return
  await sql.run(
    `update name_target t
        set version = case when one.error is null then one.version else t.version end,
            put_at = case when one.error is null then now() else t.put_at end,
            peers = case when one.error is null then one.peers else t.peers end,
            failures = case when one.error is null then 0 else t.failures + 1 end,
            error = one.error,
            next_at = case
              when t.wanted > one.version then now()
              when one.error is null then now() + make_interval(secs => $6 / 1000.0 * (0.9 + 0.2 * random()))
              else now() + make_interval(secs => least($7 / 1000.0 * power(2, least(t.failures, 30)), $8 / 1000.0)) end
       from unnest($2::text[], $3::bigint[], $4::integer[], $5::text[]) as one (name, version, peers, error)
      where t.target = $1 and t.name = one.name`,
    [
      target,
      outcomes.map(({ name }) => name),
      outcomes.map(({ version }) => version),
      outcomes.map((outcome) => ('peers' in outcome ? (outcome.peers ?? null) : null)),
      outcomes.map((outcome) => ('error' in outcome ? outcome.error : null)),
      everyMs,
      FIRST_RETRY_MS,
      LAST_RETRY_MS,
    ],
  )
}

/** A node that can tell records to the network. */
export interface NetworkNode {
  name: string
  /** `host:port` of its TLS listener. */
  transfer: string
  /** base64url of its key. */
  publicKey: string
}

/** Nodes that are up, a few of them, in an order of chance. */
export function someNodesUp(sql: Sql, limit: number): Promise<NetworkNode[]> {
  return sql.query<NetworkNode>(
    `select name, transfer, translate(rtrim(encode(public_key, 'base64'), '='), '+/', '-_') as "publicKey"
       from node where liveness = 'up' order by random() limit $1`,
    [limit],
  )
}

/** All nodes that are up. */
export function nodesUp(sql: Sql): Promise<(NetworkNode & { id: number })[]> {
  return sql.query<NetworkNode & { id: number }>(
    `select id, name, transfer, translate(rtrim(encode(public_key, 'base64'), '='), '+/', '-_') as "publicKey"
       from node where liveness = 'up'`,
  )
}
