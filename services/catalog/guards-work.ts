import type { Database, Sql } from './database.ts'
import { addTouches, holdBlock, type SavedBlock } from './chains.ts'
import { raiseEvent } from './events.ts'
import { GUARD_COLUMNS, guardOf, type GuardRow, type SavedGuard } from './guards.ts'
import { holdGuard } from './guards-pins.ts'
import { fence, type Leading } from './leases-fence.ts'

/** Guards of a chain of which events tell something that was not looked at, and of each some of that, in its order. */
export interface TouchedGuard extends SavedGuard {
  touches: Touch[]
}

export interface Touch {
  id: string
  block: bigint
  /** Both included; undefined: all tokens. */
  ids: { from: bigint; to: bigint } | undefined
  isUpgrade: boolean
}

/** Touches of one guard that are looked at together. */
const TOUCHES = 2_000
const GUARDS = 32

export async function touchedGuards(sql: Sql, chainId: string): Promise<TouchedGuard[]> {
  const rows = await sql.query<GuardRow & { touches: TouchRow[] }>(
    `select ${GUARD_COLUMNS}, t.touches
       from guard g
       join lateral (
         select jsonb_agg(jsonb_build_object('id', q.id::text, 'block', q.block_number::text, 'from', q.from_id::text,
                                             'to', q.to_id::text, 'isUpgrade', q.is_upgrade) order by q.id) as touches
           from (select * from chain_touch c
                  where c.chain_id = g.chain_id and c.address = g.address and c.id > g.touched_up_to
                  order by c.id limit ${TOUCHES}) q) t on t.touches is not null
      where g.chain_id = $1 and g.followed_from is not null
      order by t.touches -> 0 ->> 'id' limit ${GUARDS}`,
    [chainId],
  )
  return rows.map((row) => ({ ...guardOf(row), touches: row.touches.map(touchOf) }))
}

interface TouchRow {
  id: string
  block: string
  from: string | null
  to: string | null
  isUpgrade: boolean
}

function touchOf({ id, block, from, to, isUpgrade }: TouchRow): Touch {
  const ids = from === null || to === null ? undefined : { from: BigInt(from), to: BigInt(to) }
  return { id, block: BigInt(block), ids, isUpgrade }
}

/** Lets all tokens of a guard be read again, in answer to these touches. @throws CONFLICT */
export async function hastenFullRead(
  db: Database,
  leading: Leading,
  guardId: string,
  touchedUpTo: string,
): Promise<void> {
  await db.transaction(async (sql) => {
    await fence(sql, leading)
    await sql.run('update guard set touched_up_to = $2, full_due_at = now() where id = $1', [guardId, touchedUpTo])
  })
}

/** A guard all of whose tokens are to be read now, those first that wait longest. */
export async function guardsToRead(sql: Sql, chainId: string, limit: number): Promise<SavedGuard[]> {
  const rows = await sql.query<GuardRow>(
    `select ${GUARD_COLUMNS} from guard g
      where g.chain_id = $1 and g.followed_from is not null and g.full_due_at <= now() order by g.full_due_at limit $2`,
    [chainId, limit],
  )
  return rows.map(guardOf)
}

/** Ids of the tokens that a guard knows, those that exist; decimal. */
export async function knownTokens(sql: Sql, guardId: string): Promise<string[]> {
  const rows = await sql.query<{ id: string }>(
    `select token_id::text as id from guard_uri
      where guard_id = $1 and superseded_at is null and uri is not null and token_id >= 0 order by token_id`,
    [guardId],
  )
  return rows.map(({ id }) => id)
}

export interface FullRead {
  block: SavedBlock
  /** When the reading began: what was wanted meanwhile comes after it. */
  startedAt: string
  nextMs: number
  contract: object
  coverage: object
  /** What became of the contract's code, when that is new. */
  upgrade: Record<string, unknown> | undefined
}

/** The database's clock. */
export async function clockOf(sql: Sql): Promise<string> {
  const [row] = await sql.query<{ now: string }>('select clock_timestamp() as now')
  return row?.now ?? ''
}

/** Notes that all tokens were read at one block. @throws CONFLICT */
export async function saveFullRead(
  db: Database,
  leading: Leading,
  { id: guardId, chainId }: Pick<SavedGuard, 'id' | 'chainId'>,
  { block, startedAt, nextMs, contract, coverage, upgrade }: FullRead,
): Promise<void> {
  await db.transaction(async (sql) => {
    await fence(sql, leading)
    await holdBlock(sql, chainId, block)
    const guard = await holdGuard(sql, guardId)
    if (guard === undefined) return
    await sql.run(
      `update guard
          set read_at = now(), read_number = $2, contract = $3, coverage = $4, error_code = null, error = null,
              full_due_at = case when full_due_at > $5::timestamptz then full_due_at
                                 else now() + make_interval(secs => $6 / 1000.0) end
        where id = $1`,
      [guardId, String(block.number), JSON.stringify(contract), JSON.stringify(coverage), startedAt, nextMs],
    )
    if (upgrade === undefined) return
    await raiseEvent(sql, guard.tenantId, {
      type: 'contract.upgraded',
      subject: guard.collection,
      data: { block: String(block.number), ...upgrade },
    })
  })
}

/** Notes why a guard's contract could not be read; it is tried again after a pause. */
export async function noteGuardProblem(
  sql: Sql,
  guardId: string,
  { code, message }: { code: string; message: string },
  pauseMs: number,
): Promise<void> {
  await sql.run(
    `update guard set error_code = $2, error = $3, full_due_at = now() + make_interval(secs => $4 / 1000.0)
      where id = $1`,
    [guardId, code, message.replaceAll('\0', ''), pauseMs],
  )
}

/** Versions of a guard's tokens that may be final now. */
export interface OpenVersions extends SavedGuard {
  versions: { id: string; tokenId: string; uri: Buffer | null; extensions: string | null }[]
}

type OtherVersion = Pick<OpenVersions['versions'][number], 'id' | 'tokenId'>

const SETTLED_AT_ONCE = 2_000

/** Present versions that were first read at a block that counts as final, and are not final themselves; of one guard. */
export async function versionsToSettle(sql: Sql, chainId: string, final: bigint): Promise<OpenVersions | undefined> {
  const [row] = await sql.query<GuardRow>(
    `select ${GUARD_COLUMNS} from guard g
      where g.chain_id = $1
        and exists (select from guard_uri v
                     where v.guard_id = g.id and not v.is_final and v.superseded_at is null and not v.is_orphan
                       and v.from_number <= $2)
      order by g.id limit 1`,
    [chainId, String(final)],
  )
  if (row === undefined) return undefined
  const versions = await sql.query<OpenVersions['versions'][number]>(
    `select id, token_id::text as "tokenId", uri, extensions from guard_uri
      where guard_id = $1 and not is_final and superseded_at is null and not is_orphan and from_number <= $2
      order by from_number, id limit ${SETTLED_AT_ONCE}`,
    [row.id, String(final)],
  )
  return { ...guardOf(row), versions }
}

/**
 * Makes versions final that were read to be the same at a final block. What they superseded is kept for as long as the guard
 * says, from now on. Tokens that were read to be otherwise are read again.
 * @throws CONFLICT
 */
export async function settleVersions(
  db: Database,
  leading: Leading,
  { id, chainId, address, keepMs }: Pick<SavedGuard, 'id' | 'chainId' | 'address' | 'keepMs'>,
  { block, agreed, others }: { block: SavedBlock; agreed: readonly string[]; others: readonly OtherVersion[] },
): Promise<void> {
  await db.transaction(async (sql) => {
    await fence(sql, leading)
    await holdBlock(sql, chainId, block)
    if ((await holdGuard(sql, id)) === undefined) return
    await sql.run(
      `with settled as (
         update guard_uri set is_final = true
          where id = any ($1) and superseded_at is null and not is_orphan returning token_id)
       update guard_uri v set keep_until = now() + make_interval(secs => $3 / 1000.0)
         from settled
        where v.guard_id = $2 and v.token_id = settled.token_id and v.superseded_at is not null
          and v.keep_until is null and $3::float8 is not null`,
      [agreed, id, keepMs],
    )
    // They count as read at this block, so that they are not asked for again before it is final.
    await sql.run('update guard_uri set from_number = $2, from_hash = $3 where id = any ($1)', [
      others.map((version) => version.id),
      String(block.number),
      block.hash,
    ])
    const touches = others.map(({ tokenId }) => {
      const own = BigInt(tokenId)
      return { address, block: block.number, ids: { from: own, to: own }, isUpgrade: false }
    })
    if (touches.length > 0) await addTouches(sql, chainId, touches)
  })
}

/** Touches of one contract that are final, with the guards that have looked at all of them. */
export interface FinalTouches {
  guards: SavedGuard[]
  touches: Touch[]
}

/** Some of the touches that are final and were looked at; undefined when there are none. */
export async function finalTouches(sql: Sql, chainId: string, final: bigint): Promise<FinalTouches | undefined> {
  const rows = await sql.query<TouchRow & { address: string }>(
    `select id::text, address, block_number::text as block, from_id::text as "from", to_id::text as "to",
            is_upgrade as "isUpgrade"
       from chain_touch t
      where t.chain_id = $1 and t.block_number <= $2
        and t.address = (select o.address from chain_touch o
                          where o.chain_id = $1 and o.block_number <= $2 and not ${OPEN} order by o.id limit 1)
        and t.id <= (select coalesce(min(g.touched_up_to), 9223372036854775807) from guard g
                      where g.chain_id = $1 and g.address = t.address and g.followed_from is not null)
      order by t.id limit ${TOUCHES}`,
    [chainId, String(final)],
  )
  const [first] = rows
  if (first === undefined) return undefined
  const guards = await sql.query<GuardRow>(
    `select ${GUARD_COLUMNS} from guard g where g.chain_id = $1 and g.address = $2 and g.followed_from is not null`,
    [chainId, first.address],
  )
  return { guards: guards.map(guardOf), touches: rows.map(touchOf) }
}

/** Some guard has not looked at the touch yet. */
const OPEN = `exists (select from guard g where g.chain_id = o.chain_id and g.address = o.address
                                           and g.followed_from is not null and g.touched_up_to < o.id)`

/** Forgets touches that no reorganisation can undo any more. @throws CONFLICT */
export async function forgetTouches(db: Database, leading: Leading, ids: readonly string[]): Promise<void> {
  await db.transaction(async (sql) => {
    await fence(sql, leading)
    await sql.run('delete from chain_touch where id = any ($1)', [ids])
  })
}

/** The lowest block that something waits for to be final; undefined when nothing does. */
export async function oldestOpenBlock(sql: Sql, chainId: string): Promise<bigint | undefined> {
  const [row] = await sql.query<{ number: string | null }>(
    `select least(
       (select min(v.from_number) from guard g join guard_uri v on v.guard_id = g.id
         where g.chain_id = $1 and not v.is_final and v.superseded_at is null),
       (select min(t.block_number) from chain_touch t where t.chain_id = $1)) as number`,
    [chainId],
  )
  return row === undefined || row.number === null ? undefined : BigInt(row.number)
}

/** Guards whose pins are to be looked at: each in its turn. */
export async function guardIds(sql: Sql, chainId: string): Promise<string[]> {
  const rows = await sql.query<{ id: string }>('select id from guard where chain_id = $1 order by id', [chainId])
  return rows.map(({ id }) => id)
}
