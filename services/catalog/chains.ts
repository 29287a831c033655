import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import { raiseEvent, type NewEvent } from './events.ts'
import { fence, type Leading } from './leases-fence.ts'

/** A block by number and hash (hex). */
export interface SavedBlock {
  number: bigint
  hash: `0x${string}`
}

/** Of a chain that is followed: blocks ascending, and the newest number that counts as final, -1 when there is none. */
export interface SavedChain {
  blocks: SavedBlock[]
  final: bigint
}

export async function readChain(sql: Sql, chainId: string): Promise<SavedChain> {
  const [chain] = await sql.query<{ final: string }>('select final_number as final from chain where id = $1', [chainId])
  const rows = await sql.query<{ number: string; hash: `0x${string}` }>(
    'select number, hash from chain_block where chain_id = $1 order by number',
    [chainId],
  )
  return {
    blocks: rows.map(({ number, hash }) => ({ number: BigInt(number), hash })),
    final: BigInt(chain?.final ?? '-1'),
  }
}

/** The role of the one process that follows a chain. */
export function followingRole(chainId: string): string {
  return `guard ${chainId}`
}

/** A process that dies is followed by another meanwhile. */
const SILENT_FOR = `interval '1 minute'`

/** Those of these chains that no process follows. */
export async function chainsNobodyReads(sql: Sql, chainIds: readonly string[]): Promise<Set<string>> {
  const roles = chainIds.map(followingRole)
  const rows = await sql.query<{ role: string }>(
    `select role from leader where role = any ($1) and until > clock_timestamp() - ${SILENT_FOR}`,
    [roles],
  )
  const held = new Set(rows.map(({ role }) => role))
  return new Set(chainIds.filter((chainId) => !held.has(followingRole(chainId))))
}

/** Where a step along a chain begins. */
export interface StepFrom {
  chainId: string
  /** Hash of the newest block that is known; undefined: none is. */
  base: string | undefined
}

/** Tokens of which an event tells. */
export interface NewTouch {
  address: string
  block: bigint
  /** Both included; undefined: all tokens. */
  ids: { from: bigint; to: bigint } | undefined
  isUpgrade: boolean
}

/**
 * Takes in new blocks with what their events touch.
 * @param mayLack events may be missing, of these blocks or those before: all tokens of the chain's guards are to be read again
 * @param dropped numbers of blocks that need not be remembered any more
 * @throws CONFLICT when another process leads, or has taken a step from there
 */
export async function commitBlocks(
  db: Database,
  leading: Leading,
  from: StepFrom,
  {
    blocks,
    dropped,
    touches,
    mayLack,
  }: {
    blocks: readonly SavedBlock[]
    dropped: readonly bigint[]
    touches: readonly NewTouch[]
    mayLack: boolean
  },
): Promise<void> {
  await db.transaction(async (sql) => {
    await lockChain(sql, leading, from)
    await sql.run(
      `insert into chain_block (chain_id, number, hash)
       select $1, number, hash from unnest($2::bigint[], $3::text[]) as block (number, hash)`,
      [from.chainId, blocks.map(({ number }) => String(number)), blocks.map(({ hash }) => hash)],
    )
    await sql.run('delete from chain_block where chain_id = $1 and number = any ($2)', [
      from.chainId,
      dropped.map(String),
    ])
    if (touches.length > 0) await addTouches(sql, from.chainId, touches)
    if (mayLack) await sql.run('update guard set full_due_at = now() where chain_id = $1', [from.chainId])
  })
}

/** Lets tokens be read again. */
export async function addTouches(sql: Sql, chainId: string, touches: readonly NewTouch[]): Promise<void> {
  await sql.run(
    `insert into chain_touch (chain_id, address, block_number, from_id, to_id, is_upgrade)
     select $1, touch.* from unnest($2::text[], $3::bigint[], $4::numeric[], $5::numeric[], $6::boolean[]) as touch`,
    [
      chainId,
      touches.map(({ address }) => address),
      touches.map(({ block }) => String(block)),
      touches.map(({ ids }) => (ids === undefined ? null : String(ids.from))),
      touches.map(({ ids }) => (ids === undefined ? null : String(ids.to))),
      touches.map(({ isUpgrade }) => isUpgrade),
    ],
  )
}

/**
 * Makes everything above a block void: what was read there is not believed any more, and what events touched there is to be
 * read again.
 * @param to undefined: nothing that is known is on the chain
 * @param isBroken it had counted as final: accounts with guards are told
 * @throws CONFLICT as {@link commitBlocks}
 */
export async function commitBack(
  db: Database,
  leading: Leading,
  from: StepFrom,
  { to, isBroken, orphanMs }: { to: bigint | undefined; isBroken: boolean; orphanMs: number },
): Promise<void> {
  const { chainId } = from
  const above = String(to ?? -1n)
  await db.transaction(async (sql) => {
    await lockChain(sql, leading, from)
    await sql.run('delete from chain_block where chain_id = $1 and number > $2', [chainId, above])
    await sql.run(
      'update chain set final_number = least(final_number, $2), broken = broken + $3::integer where id = $1',
      [chainId, above, isBroken ? 1 : 0],
    )
    await sql.run(
      `with gone as (
         delete from chain_touch where chain_id = $1 and block_number > $2 returning address, from_id, to_id, is_upgrade),
       orphan as (
         update guard_uri v
            set is_orphan = true, is_final = false,
                keep_until = case when v.superseded_at is not null
                                  then now() + make_interval(secs => $3 / 1000.0) else v.keep_until end
           from guard g
          where g.chain_id = $1 and v.guard_id = g.id and v.from_number > $2 and v.released_at is null
         returning g.address, v.token_id, v.superseded_at)
       insert into chain_touch (chain_id, address, block_number, from_id, to_id, is_upgrade)
       select $1, address, $2, from_id, to_id, is_upgrade from gone
        union
       select $1, address, $2, token_id, token_id, false from orphan where superseded_at is null`,
      [chainId, above, orphanMs],
    )
    await sql.run('update guard set full_due_at = now() where chain_id = $1 and ($2 < 0 or read_number > $2)', [
      chainId,
      above,
    ])
    if (isBroken) await tellGuards(sql, chainId, { type: 'finality.broken', data: { block: above } })
  })
}

/** Tells all accounts that guard something on the chain. */
async function tellGuards(sql: Sql, chainId: string, { type, data }: Pick<NewEvent, 'type' | 'data'>): Promise<void> {
  const tenants = await sql.query<{ tenantId: number }>(
    'select distinct tenant_id as "tenantId" from guard where chain_id = $1',
    [chainId],
  )
  for (const { tenantId } of tenants) await raiseEvent(sql, tenantId, { type, subject: chainId, data })
}

/** Notes how far the chain is final. @throws CONFLICT */
export async function commitFinal(db: Database, leading: Leading, chainId: string, final: bigint): Promise<void> {
  await db.transaction(async (sql) => {
    await fence(sql, leading)
    await sql.run('update chain set final_number = greatest(final_number, $2) where id = $1', [chainId, String(final)])
  })
}

/**
 * Takes guards that are new into what is followed: from the next block on their events are seen.
 * @returns the contracts whose events are wanted
 * @throws CONFLICT as {@link commitBlocks}
 */
export async function followedAddresses(
  db: Database,
  leading: Leading,
  from: StepFrom & { top: bigint },
): Promise<`0x${string}`[]> {
  const rows = await db.transaction(async (sql) => {
    await lockChain(sql, leading, from)
    await sql.run(
      `update guard set followed_from = $2, touched_up_to = (select coalesce(max(id), 0) from chain_touch)
        where chain_id = $1 and followed_from is null`,
      [from.chainId, String(from.top)],
    )
    return await sql.query<{ address: `0x${string}` }>(
      'select distinct address from guard where chain_id = $1 order by address',
      [from.chainId],
    )
  })
  return rows.map(({ address }) => address)
}

/** Whether anybody guards something there. */
export async function isGuarded(sql: Sql, chainId: string): Promise<boolean> {
  return (await sql.query('select from guard where chain_id = $1 limit 1', [chainId])).length > 0
}

/** Nobody steps from the same place at once. */
async function lockChain(sql: Sql, leading: Leading, { chainId, base }: StepFrom): Promise<void> {
  await fence(sql, leading)
  await sql.run('insert into chain (id) values ($1) on conflict do nothing', [chainId])
  await sql.query('select from chain where id = $1 for update', [chainId])
  const [top] = await sql.query<{ hash: string }>(
    'select hash from chain_block where chain_id = $1 order by number desc limit 1',
    [chainId],
  )
  if (top?.hash !== base) throw new HoldfastError('CONFLICT', `Another process follows the chain ${chainId}.`)
}

/** Before the guard's row in the order of locks. @throws CONFLICT when a block is not among those that are known, and nothing read by it counts */
export async function holdBlock(sql: Sql, chainId: string, { number, hash }: SavedBlock): Promise<void> {
  await sql.query('select from chain where id = $1 for share', [chainId])
  const rows = await sql.query('select from chain_block where chain_id = $1 and number = $2 and hash = $3', [
    chainId,
    String(number),
    hash,
  ])
  if (rows.length === 0) throw new HoldfastError('CONFLICT', `The block ${hash} is not on the chain any more.`)
}

/** How often providers that disagree are told of. */
const DISAGREE_EVERY = `interval '1 hour'`

/** Tells accounts with guards that providers of the chain disagree, at most once an hour. */
export async function noteDisagreement(db: Database, chainId: string, data: Record<string, unknown>): Promise<void> {
  await db.transaction(async (sql) => {
    const noted = await sql.run(
      `update chain set disagreed_at = now()
        where id = $1 and (disagreed_at is null or disagreed_at < now() - ${DISAGREE_EVERY})`,
      [chainId],
    )
    if (noted > 0) await tellGuards(sql, chainId, { type: 'rpc.disagrees', data })
  })
}
