import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import { violates } from './database-errors.ts'
import { holdName, raisePublished, trimHistory, writeRecords, type HeldName, type KeptRecord } from './ipns-names.ts'
import { lockTenant } from './tenant-lock.ts'

/** Names of one tenant. */
const MAX_NAMES = 100_000

/** Whose key signs: one that we keep, one that we never see, or that of somebody else. */
export type NameMode = 'hosted' | 'client-signed' | 'watched'

/** A tenant's name with the newest record that is known of it. Times are text in UTC. */
export interface SavedName {
  id: string
  /** CIDv1 of the key in base36. */
  name: string
  label: string | null
  mode: NameMode
  ttlMs: number
  lifetimeMs: number
  createdAt: string
  /** Decimal; `0` before the first record. */
  sequence: string
  target: string | null
  record: Buffer | null
  validUntil: string | null
  receivedAt: string | null
  /** `none` before the first record; `ending` when the owner is to publish soon, which hosted names need not. */
  state: 'none' | 'live' | 'ending' | 'ended'
  /** Nodes that have the record on their disks, and how many should. */
  nodesReached: number
  nodes: number
  /** Whom it is told beside the nodes. */
  targets: TargetState[]
}

/** What somebody who is told records knows of a name. */
interface TargetState {
  /** `dht`, or the URL of a delegated router. */
  target: string
  /** Whether it took the newest record. */
  isCurrent: boolean
  /** Peers of the DHT that took the last one. */
  peers: number | null
  /** Why it did not take one the last time. */
  problem: string | null
}

/** When an owner is told that a record is about to end: in its last quarter, and a week before at the earliest. */
export const IS_ENDING = `i.sign_at is null
  and i.valid_until < now() + least(interval '7 days', (i.valid_until - i.received_at) / 4)`

const SELECT = `
  select n.id, n.name, n.label, n.mode, n.ttl_ms::float8 as "ttlMs", n.lifetime_ms::float8 as "lifetimeMs",
         n.created_at as "createdAt", i.sequence, i.target, i.record, i.valid_until as "validUntil",
         i.received_at as "receivedAt",
         case when i.record is null then 'none' when i.valid_until < now() then 'ended'
              when ${IS_ENDING} then 'ending' else 'live' end as state,
         (select count(*)::integer from name_reader reader join node on node.id = reader.node_id, name_feed feed
           where reader.feed = feed.id and reader.version >= i.version and node.liveness <> 'down') as "nodesReached",
         (select count(*)::integer from node where liveness <> 'down') as nodes,
         (select coalesce(jsonb_agg(jsonb_build_object('target', told.target, 'isCurrent', told.version is not distinct from i.version,
                                                       'peers', told.peers, 'problem', told.error) order by told.target), '[]')
            from name_target told where told.name = n.name) as targets
    from name n join ipns_name i on i.name = n.name`

/** How a name is asked for. */
export type NameKey = { name: string } | { label: string }

export async function getName(sql: Sql, tenantId: number, key: NameKey): Promise<SavedName | undefined> {
  const [column, value] = 'name' in key ? ['n.name', key.name] : ['n.label', key.label]
  const [found] = await sql.query<SavedName>(`${SELECT} where n.tenant_id = $1 and ${column} = $2`, [tenantId, value])
  return found
}

/** A tenant's names in the order of their text, after that one. */
export function listNames(sql: Sql, tenantId: number, page: { after: string; limit: number }): Promise<SavedName[]> {
  return sql.query<SavedName>(`${SELECT} where n.tenant_id = $1 and n.name > $2 order by n.name limit $3`, [
    tenantId,
    page.after,
    page.limit,
  ])
}

export interface NewName {
  id: string
  name: string
  label: string | null
  mode: NameMode
  ttlMs: number
  lifetimeMs: number
  /** The key was made just now: nobody else can know a record of it. */
  isNewKey?: boolean
  /** The private key as `name-keys.ts` seals it, for a hosted name. */
  sealedKey?: Buffer | undefined
}

/** Decides by what is held; undefined changes nothing. It does nothing but decide: it may be asked again. */
export type Decide = (held: HeldName) => KeptRecord | undefined

/**
 * Adds a name to a tenant's, with a first record when `decide` gives one. What is known of the name already stays known.
 * @throws CONFLICT when the tenant has the name or the label already; what `decide` throws
 */
export async function createName(db: Database, tenantId: number, wanted: NewName, decide: Decide): Promise<void> {
  const { id, name, label, mode, ttlMs, lifetimeMs, isNewKey = false, sealedKey } = wanted
  try {
    await db.transaction(async (sql) => {
      await lockTenant(sql, tenantId)
      const held = await holdName(sql, name)
      const added = await sql.run(
        `insert into name (id, tenant_id, name, label, mode, ttl_ms, lifetime_ms, sought_at)
         select $1, $2, $3, $4, $5, $6, $7, case when $8 then now() end
          where (select count(*) from name where tenant_id = $2) < $9`,
        [id, tenantId, name, label, mode, ttlMs, lifetimeMs, isNewKey, MAX_NAMES],
      )
      if (added === 0) throw new HoldfastError('INSUFFICIENT_FUNDS', `An account may have ${MAX_NAMES} names.`)
      if (sealedKey !== undefined)
        await sql.run('insert into name_key (name_id, sealed) values ($1, $2)', [id, sealedKey])
      // Also a record that was known before: it may not be in the feed any more, and may have got its key.
      const made = decide(held)
      if (made !== undefined) await raisePublished(sql, held, made)
      const record = made ?? held.record
      if (record !== undefined) await writeRecords(sql, [{ name, ...record }])
    })
  } catch (error) {
    if (violates(error, 'name_of_tenant')) throw new HoldfastError('CONFLICT', `Your account has ${name} already.`)
    if (violates(error, 'name_label')) throw new HoldfastError('CONFLICT', `Your account has a name ${label} already.`)
    throw error
  }
}

/**
 * Changes the record of a tenant's name. Of those who try at once each is decided by what the one before left.
 * @returns the name as this change left it
 * @throws NOT_FOUND when the tenant does not have the name any more; what `decide` throws
 */
export async function changeRecord(
  db: Database,
  tenantId: number,
  { id, name }: Pick<SavedName, 'id' | 'name'>,
  decide: Decide,
): Promise<SavedName> {
  return await db.transaction(async (sql) => {
    const held = await holdName(sql, name)
    const mine = await sql.query('select from name where id = $1 and tenant_id = $2', [id, tenantId])
    if (mine.length === 0) throw new HoldfastError('NOT_FOUND', 'There is no such name.')
    const record = decide(held)
    if (record !== undefined) {
      await Promise.all([trimHistory(sql, name), raisePublished(sql, held, record)])
      await writeRecords(sql, [{ name, ...record }])
    }
    return (await getName(sql, tenantId, { name })) as SavedName
  })
}

/**
 * Forgets a tenant's name and its key. Records that are out stay valid until they end, also on nodes. When no tenant has
 * the name any more, it is signed and told to nodes no more, and only its sequence is remembered.
 */
export async function deleteName(
  db: Database,
  tenantId: number,
  { id, name }: Pick<SavedName, 'id' | 'name'>,
): Promise<void> {
  await db.transaction(async (sql) => {
    await holdName(sql, name)
    await sql.run('delete from name where id = $1 and tenant_id = $2', [id, tenantId])
    await sql.run(
      `update ipns_name set version = case when exists (select from name where name = $1) then version end,
              sign_at = case when exists (select from name join name_key on name_key.name_id = name.id where name.name = $1)
                             then sign_at end
        where name = $1`,
      [name],
    )
    await sql.run('delete from name_record where name = $1 and not exists (select from name where name = $1)', [name])
  })
}

/** One record of a name's history. */
export interface PastRecord {
  sequence: string
  target: string | null
  validUntil: string
  publishedAt: string
}

/** What was published of the name since the tenant has it, the newest first, and the one that was the newest then. */
export function listRecords(sql: Sql, { name, createdAt, sequence }: SavedName): Promise<PastRecord[]> {
  return sql.query<PastRecord>(
    `select sequence, target, valid_until as "validUntil", published_at as "publishedAt"
       from name_record where name = $1 and (published_at >= $2 or sequence = $3) order by sequence desc`,
    [name, createdAt, sequence],
  )
}
