import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import {
  VERIFICATION_COLUMNS,
  verificationOf,
  type Verification,
  type VerificationFigures,
  type VerificationRow,
} from './verifications.ts'

/** A look that this process works on, for as long as it renews the lease. */
export interface LeasedVerification extends Verification {
  tenantId: number
  lease: string
  /** Tries that failed. */
  attempts: number
}

type Leased = Pick<LeasedVerification, 'id' | 'lease'>

/**
 * Takes the look that has waited longest for its turn; of one account only one at a time.
 * @returns undefined when there is none
 */
export async function takeVerification(sql: Sql, leaseMs: number): Promise<LeasedVerification | undefined> {
  const [row] = await sql.query<VerificationRow & { tenantId: number; lease: string; attempts: number }>(
    `with next as (
       select n.id from verification n
        where n.state in ('queued', 'reading', 'checking') and (n.lease_until is null or n.lease_until < now())
          and not exists (select from verification o
                           where o.tenant_id = n.tenant_id and o.lease is not null and o.lease_until >= now())
        order by n.turn_at limit 1 for update skip locked)
     update verification v
        set lease = nextval('lease_seq'), lease_until = now() + make_interval(secs => $1 / 1000.0),
            started_at = coalesce(started_at, now())
       from next where v.id = next.id
     returning ${VERIFICATION_COLUMNS}, v.tenant_id as "tenantId", v.lease, v.attempts`,
    [leaseMs],
  )
  return row && verificationOf(row)
}

/** Another process has taken the work over. */
function lost(): HoldfastError {
  return new HoldfastError('CONFLICT', 'Another process works on this verification.')
}

/** Keeps the work for longer. @throws CONFLICT when another process has it */
export async function renewVerification(sql: Sql, { id, lease }: Leased, leaseMs: number): Promise<void> {
  const touched = await sql.run(
    `update verification set lease_until = now() + make_interval(secs => $3 / 1000.0) where id = $1 and lease = $2`,
    [id, lease, leaseMs],
  )
  if (touched === 0) throw lost()
}

/** Notes the block by which all is read, and forgets tokens of a try before. @throws CONFLICT */
export async function beginReading(
  db: Database,
  { id, lease }: Leased,
  block: { number: bigint; hash: string },
  contract: object,
): Promise<void> {
  await db.transaction(async (sql) => {
    const touched = await sql.run(
      `update verification set state = 'reading', block_number = $3, block_hash = $4, contract = $5, tokens = 0
        where id = $1 and lease = $2`,
      [id, lease, String(block.number), block.hash, JSON.stringify(contract)],
    )
    if (touched === 0) throw lost()
    await sql.run('delete from verification_token where verification_id = $1', [id])
  })
}

export interface FoundToken {
  /** Decimal. */
  id: string
  uri: Buffer | null
  /** JSON: what extensions say. */
  extensions: Buffer | null
  pointer: string
  kind: string | null
}

/** Adds tokens behind those that are there. @throws CONFLICT */
export async function addTokens(
  db: Database,
  { id, lease }: Leased,
  first: number,
  tokens: readonly FoundToken[],
): Promise<void> {
  await db.transaction(async (sql) => {
    const touched = await sql.run('update verification set tokens = $3 where id = $1 and lease = $2', [
      id,
      lease,
      first + tokens.length,
    ])
    if (touched === 0) throw lost()
    await sql.run(
      `insert into verification_token (verification_id, place, token_id, uri, extensions, pointer, kind)
       select $1, $2 + found.nth - 1, found.token_id, found.uri, found.extensions, found.pointer, found.kind
         from unnest($3::numeric[], $4::bytea[], $5::bytea[], $6::text[], $7::text[])
              with ordinality as found (token_id, uri, extensions, pointer, kind, nth)`,
      [
        id,
        first,
        tokens.map((token) => token.id),
        tokens.map(({ uri }) => uri),
        tokens.map(({ extensions }) => extensions),
        tokens.map(({ pointer }) => pointer),
        tokens.map(({ kind }) => kind),
      ],
    )
  })
}

/** All tokens are there; their content comes next. @throws CONFLICT */
export async function beginChecking(
  sql: Sql,
  { id, lease }: Leased,
  { coverage, sources }: { coverage: object; sources: readonly string[] },
): Promise<void> {
  const touched = await sql.run(
    `update verification set state = 'checking', coverage = $3, sources = $4 where id = $1 and lease = $2`,
    [id, lease, JSON.stringify(coverage), sources],
  )
  if (touched === 0) throw lost()
}

export interface OpenToken {
  place: number
  /** Decimal. */
  id: string
  uri: Buffer | null
  extensions: Buffer | null
  pointer: string
}

/** Tokens without a finding, in their order. */
export function openTokens(sql: Sql, id: string, limit: number): Promise<OpenToken[]> {
  return sql.query<OpenToken>(
    `select place, token_id::text as id, uri, extensions, pointer from verification_token
      where verification_id = $1 and verdict is null order by place limit $2`,
    [id, limit],
  )
}

export interface FoundVerdict {
  place: number
  verdict: string
  finding: string
  copies: number | null
  hosts: readonly string[]
}

/** Saves findings. @throws CONFLICT */
export async function saveFindings(
  db: Database,
  { id, lease }: Leased,
  findings: readonly FoundVerdict[],
): Promise<void> {
  await db.transaction(async (sql) => {
    const touched = await sql.run(
      'update verification set checked = checked + $3, attempts = 0 where id = $1 and lease = $2',
      [id, lease, findings.length],
    )
    if (touched === 0) throw lost()
    await sql.run(
      `update verification_token t
          set verdict = found.verdict, finding = found.finding, copies = found.copies,
              hosts = (select array_agg(host) from jsonb_array_elements_text(found.hosts) as host)
         from unnest($2::int[], $3::text[], $4::text[], $5::smallint[], $6::jsonb[])
              as found (place, verdict, finding, copies, hosts)
        where t.verification_id = $1 and t.place = found.place and t.verdict is null`,
      [
        id,
        findings.map(({ place }) => place),
        findings.map(({ verdict }) => verdict),
        findings.map(({ finding }) => finding),
        findings.map(({ copies }) => copies),
        findings.map(({ hosts }) => JSON.stringify(hosts)),
      ],
    )
  })
}

/** Counts what was found, and ends the look. @throws CONFLICT */
export async function finishVerification(sql: Sql, { id, lease }: Leased): Promise<void> {
  const figures: VerificationFigures = {
    verdicts: await countsOf(sql, id, 'select verdict as name from verification_token where verification_id = $1'),
    kinds: await countsOf(sql, id, 'select kind as name from verification_token where verification_id = $1'),
    copies: await countsOf(sql, id, 'select copies::text as name from verification_token where verification_id = $1'),
    hosts: await countsOf(sql, id, 'select unnest(hosts) as name from verification_token where verification_id = $1'),
  }
  const touched = await sql.run(
    `update verification set state = 'done', figures = $3, finished_at = now(), lease = null, lease_until = null,
            error_code = null, error = null
      where id = $1 and lease = $2`,
    [id, lease, JSON.stringify(figures)],
  )
  if (touched === 0) throw lost()
}

/** Of each kind of figure. */
const MOST_NAMES = 50

async function countsOf(sql: Sql, id: string, names: string): Promise<Record<string, number>> {
  const rows = await sql.query<{ name: string; count: number }>(
    `select name, count(*)::int as count from (${names}) as named where name is not null
      group by name order by count desc, name limit ${MOST_NAMES}`,
    [id],
  )
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]))
}

/**
 * Notes why a look came no further. It is taken again after a pause, unless it has failed for good.
 * @param retryMs undefined: for good
 */
export async function noteVerificationFailure(
  sql: Sql,
  { id, lease }: Leased,
  { code, message }: { code: string; message: string },
  retryMs: number | undefined,
): Promise<void> {
  await sql.run(
    `update verification
        set error_code = $3, error = $4, attempts = attempts + 1, lease = null,
            lease_until = now() + make_interval(secs => $5 / 1000.0),
            state = case when $5::float8 is null then 'failed' else state end,
            finished_at = case when $5::float8 is null then now() end
      where id = $1 and lease = $2`,
    // Words of providers may hold what text in Postgres may not.
    [id, lease, code, message.replaceAll('\0', ''), retryMs ?? null],
  )
}

/** Gives the work back: it goes on at once where nothing else waits. */
export async function releaseVerification(sql: Sql, { id, lease }: Leased): Promise<void> {
  await sql.run(
    'update verification set lease = null, lease_until = null, turn_at = now() where id = $1 and lease = $2',
    [id, lease],
  )
}
