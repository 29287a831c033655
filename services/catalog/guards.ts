import { randomUUIDv7 } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import { removePins } from './pins-remove.ts'

/** Guards of one account: each is read again every hour. */
const MOST_GUARDS = 1_000

/** Bytes that pins of a guard may have. */
export interface GuardLimits {
  /** What one token has to itself: roots of which it needs all. */
  tokenBytes: number
  collectionBytes: number
  /** What is pinned within 24 hours. */
  dayBytes: number
}

export interface NewGuard {
  /** CAIP-19 without a token, and its chain (CAIP-2) and address. */
  collection: string
  chainId: string
  address: string
  policy: string
  /** How long what tokens led to before is kept; null: for ever. */
  keepMs: number | null
  limits: GuardLimits
}

/** A guarded collection. Times are text in UTC, numbers of blocks decimal text. */
export interface SavedGuard extends NewGuard {
  id: string
  tenantId: number
  createdAt: string
  followedFrom: string | null
  readAt: string | null
  readNumber: string | null
  contract: Record<string, unknown> | null
  coverage: Record<string, unknown> | null
  problem: { code: string; message: string } | null
  limitedAt: string | null
}

/** Columns of a {@link GuardRow}, of `guard g`. */
export const GUARD_COLUMNS = `g.id, g.tenant_id as "tenantId", g.collection, g.chain_id as "chainId", g.address, g.policy,
  g.keep_ms::float8 as "keepMs", g.token_bytes::float8 as "tokenBytes", g.collection_bytes::float8 as "collectionBytes",
  g.day_bytes::float8 as "dayBytes", g.created_at as "createdAt", g.followed_from as "followedFrom", g.read_at as "readAt",
  g.read_number as "readNumber", g.contract, g.coverage, g.error_code as "errorCode", g.error, g.limited_at as "limitedAt"`

export type GuardRow = Omit<SavedGuard, 'limits' | 'problem'> &
  GuardLimits & { errorCode: string | null; error: string | null }

export function guardOf<Row extends GuardRow>(columns: Row) {
  const { tokenBytes, collectionBytes, dayBytes, errorCode, error, ...row } = columns
  return {
    ...row,
    limits: { tokenBytes, collectionBytes, dayBytes },
    problem: errorCode === null ? null : { code: errorCode, message: error ?? '' },
  }
}

/**
 * Guards a collection from now on, or changes how; it is read again at once.
 * @throws INSUFFICIENT_FUNDS when the account has too many
 */
export async function putGuard(
  sql: Sql,
  tenantId: number,
  { collection, chainId, address, policy, keepMs, limits }: NewGuard,
): Promise<{ guard: SavedGuard; created: boolean }> {
  const [row] = await sql.query<GuardRow & { created: boolean }>(
    `insert into guard as g (id, tenant_id, collection, chain_id, address, policy, keep_ms, token_bytes, collection_bytes,
                             day_bytes)
     select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
      where (select count(*) from guard where tenant_id = $2) < $11
         or exists (select from guard where tenant_id = $2 and collection = $3)
     on conflict on constraint guard_of_tenant do update
       set policy = excluded.policy, keep_ms = excluded.keep_ms, token_bytes = excluded.token_bytes,
           collection_bytes = excluded.collection_bytes, day_bytes = excluded.day_bytes, full_due_at = now(),
           limited_at = null
     returning ${GUARD_COLUMNS}, g.xmax = 0 as created`,
    [
      randomUUIDv7(),
      tenantId,
      collection,
      chainId,
      address,
      policy,
      keepMs,
      limits.tokenBytes,
      limits.collectionBytes,
      limits.dayBytes,
      MOST_GUARDS,
    ],
  )
  if (row === undefined) {
    throw new HoldfastError('INSUFFICIENT_FUNDS', `An account may guard ${MOST_GUARDS} collections.`)
  }
  const { created, ...guard } = row
  // What other limits held back is tried again.
  await sql.run('delete from guard_pin where guard_id = $1 and pin_id is null', [guard.id])
  return { guard: guardOf(guard), created }
}

export async function getGuard(sql: Sql, tenantId: number, collection: string): Promise<SavedGuard | undefined> {
  const [row] = await sql.query<GuardRow>(
    `select ${GUARD_COLUMNS} from guard g where g.tenant_id = $1 and g.collection = $2`,
    [tenantId, collection],
  )
  return row && guardOf(row)
}

/** An account's guards in the order of their collections, after that one. */
export async function listGuards(
  sql: Sql,
  tenantId: number,
  { after, limit }: { after: string; limit: number },
): Promise<SavedGuard[]> {
  const rows = await sql.query<GuardRow>(
    `select ${GUARD_COLUMNS} from guard g where g.tenant_id = $1 and g.collection > $2 order by g.collection limit $3`,
    [tenantId, after, limit],
  )
  return rows.map(guardOf)
}

/** Guards a collection no more, and removes the pins that were made for it. Answers whether it was guarded. */
export async function deleteGuard(db: Database, tenantId: number, collection: string): Promise<boolean> {
  return await db.transaction(async (sql) => {
    const [guard] = await sql.query<{ id: string }>(
      'select id from guard where tenant_id = $1 and collection = $2 for update',
      [tenantId, collection],
    )
    if (guard === undefined) return false
    const pins = await sql.query<{ id: string }>(
      'select pin_id as id from guard_pin where guard_id = $1 and pin_id is not null',
      [guard.id],
    )
    await sql.run('delete from guard where id = $1', [guard.id])
    await removePins(
      sql,
      tenantId,
      pins.map(({ id }) => id),
      'all',
    )
    return true
  })
}

/** Numbers of a guard's tokens and pins. */
export interface GuardFigures {
  tokens: number
  /** Those whose URI is not final yet. */
  provisional: number
  /** Those whose metadata is still to be read. */
  unread: number
  /** Pins by status; `held back` are those that a limit refuses. */
  pins: Record<string, number>
  bytes: number
}

export async function guardFigures(sql: Sql, guardId: string): Promise<GuardFigures> {
  const [tokens] = await sql.query<Omit<GuardFigures, 'pins' | 'bytes'>>(
    `select count(*)::float8 as tokens, count(*) filter (where not is_final)::float8 as provisional,
            count(*) filter (where content_due_at is not null)::float8 as unread
       from guard_uri where guard_id = $1 and superseded_at is null and token_id >= 0 and uri is not null`,
    [guardId],
  )
  const pins = await sql.query<{ status: string; count: number; bytes: number }>(
    `select case when g.pin_id is null then 'held back' else coalesce(p.status, 'removed') end as status,
            count(*)::float8 as count, coalesce(sum(c.bytes), 0)::float8 as bytes
       from guard_pin g
       join guard w on w.id = g.guard_id
       left join pin p on p.tenant_id = w.tenant_id and p.id = g.pin_id
       left join content c on c.id = p.content_id
      where g.guard_id = $1 group by 1 order by 1`,
    [guardId],
  )
  return {
    ...(tokens ?? { tokens: 0, provisional: 0, unread: 0 }),
    pins: Object.fromEntries(pins.map(({ status, count }) => [status, count])),
    bytes: pins.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** What a token pointed to since a block. */
export interface SavedUri {
  uri: Buffer | null
  /** What else the contract said of it, as JSON; null: nothing. */
  extensions: string | null
  fromNumber: string
  fromHash: string
  seenAt: string
  isFinal: boolean
  isOrphan: boolean
  supersededAt: string | null
  /** It is not kept any more. */
  releasedAt: string | null
}

/** Versions of a token that are shown. */
const MOST_VERSIONS = 1_000

/** What a token points and pointed to, the newest first. */
export function uriHistory(sql: Sql, guardId: string, tokenId: string): Promise<SavedUri[]> {
  return sql.query<SavedUri>(
    `select uri, extensions, from_number as "fromNumber", from_hash as "fromHash", seen_at as "seenAt", is_final as "isFinal",
            is_orphan as "isOrphan", superseded_at as "supersededAt", released_at as "releasedAt"
       from guard_uri where guard_id = $1 and token_id = $2 order by id desc limit ${MOST_VERSIONS}`,
    [guardId, tokenId],
  )
}
