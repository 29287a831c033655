import type { Database, Sql } from './database.ts'
import { raiseEvent } from './events.ts'
import { holdGuard, pinNeeds } from './guards-pins.ts'
import { fence, type Leading } from './leases-fence.ts'

/** A version whose metadata is to be read. */
export interface UnreadVersion {
  id: string
  guardId: string
  collection: string
  tokenId: string
  uri: Buffer
  /** What else the contract says of the token, as JSON; null: nothing. */
  extensions: string | null
  tries: number
  /** What came of it the last time. */
  reason: string | null
}

/** Versions whose metadata some node has, or which hold it themselves. */
export function unreadVersions(sql: Sql, chainId: string, limit: number): Promise<UnreadVersion[]> {
  return sql.query<UnreadVersion>(
    `select v.id, v.guard_id as "guardId", g.collection, v.token_id::text as "tokenId", v.uri, v.extensions, v.content_tries as tries,
            v.content_reason as reason
       from guard_uri v join guard g on g.id = v.guard_id
      where g.chain_id = $1 and v.content_due_at <= now() and v.uri is not null
        and (v.root is null or exists (
          select from guard_pin gp
            join pin p on p.tenant_id = g.tenant_id and p.id = gp.pin_id
            join replica r on r.content_id = p.content_id and r.state in ('stored', 'verified')
           where gp.guard_id = v.guard_id and gp.cid = v.root))
      order by v.content_due_at limit $2`,
    [chainId, limit],
  )
}

/** A root that metadata leads to. */
export interface Asset {
  cid: Buffer
  role: string
  isFolder: boolean
}

/** What was found in the metadata of a version. */
export interface ReadContent {
  id: string
  assets: readonly Asset[]
  isCentralised: boolean
  /** Why it could not be read, or leads nowhere. */
  reason: string | null
  /** It is looked for again after so long; undefined: it is done with. */
  againMs: number | undefined
  /** It is to be told that it is missing. */
  isMissing: boolean
  /** It is to be told that it is another than the contract says. */
  isOther: boolean
}

/** Notes what metadata leads to, and pins that. @returns pins that were made @throws CONFLICT */
export async function saveContents(
  db: Database,
  leading: Leading,
  guardId: string,
  contents: readonly ReadContent[],
): Promise<number> {
  return await db.transaction(async (sql) => {
    await fence(sql, leading)
    const guard = await holdGuard(sql, guardId)
    if (guard === undefined) return 0
    const noted = await sql.query<{ id: string; tokenId: string; wasServed: boolean }>(
      `update guard_uri v
          set content_due_at = now() + make_interval(secs => read.again_ms / 1000.0), content_reason = read.reason,
              content_tries = case when read.again_ms is null then 0 else v.content_tries + 1 end,
              is_centralised = v.is_centralised or read.is_centralised
         from unnest($2::bigint[], $3::float8[], $4::text[], $5::boolean[]) as read (id, again_ms, reason, is_centralised)
        where v.guard_id = $1 and v.id = read.id and v.released_at is null
       returning v.id, v.token_id::text as "tokenId",
                 coalesce((select o.is_centralised from guard_uri o
                            where o.guard_id = v.guard_id and o.token_id = v.token_id and o.id < v.id
                              and o.uri is not null and not o.is_orphan order by o.id desc limit 1), true)
                   as "wasServed"`,
      [
        guardId,
        contents.map(({ id }) => id),
        contents.map(({ againMs }) => againMs ?? null),
        contents.map(({ reason }) => reason),
        contents.map(({ isCentralised }) => isCentralised),
      ],
    )
    const kept = new Map(noted.map((row) => [row.id, row]))
    const needs = contents.flatMap(({ id, assets }) => (kept.has(id) ? assets.map((asset) => ({ id, ...asset })) : []))
    await sql.run(
      `insert into guard_need (uri_id, guard_id, cid, role, is_folder)
       select need.id, $1, need.cid, need.role, need.is_folder
         from unnest($2::bigint[], $3::bytea[], $4::text[], $5::boolean[]) as need (id, cid, role, is_folder)
       on conflict do nothing`,
      [
        guardId,
        needs.map(({ id }) => id),
        needs.map(({ cid }) => cid),
        needs.map(({ role }) => role),
        needs.map(({ isFolder }) => isFolder),
      ],
    )
    const tokensWith = (which: (content: ReadContent) => boolean): string[] =>
      contents.flatMap((content) => (which(content) ? (kept.get(content.id)?.tokenId ?? []) : []))
    const worse = tokensWith(({ id, isCentralised }) => isCentralised && kept.get(id)?.wasServed === false)
    const alarms = [
      ['became.centralised', worse],
      ['asset.missing', tokensWith(({ isMissing }) => isMissing)],
      ['content.mismatch', tokensWith(({ isOther }) => isOther)],
    ] as const
    for (const [type, tokens] of alarms) {
      if (tokens.length === 0) continue
      const data = { count: tokens.length, tokens: tokens.slice(0, MOST_NAMED) }
      await raiseEvent(sql, guard.tenantId, { type, subject: guard.collection, data })
    }
    const cids = new Map(needs.map(({ cid }) => [cid.toString('base64'), cid]))
    return await pinNeeds(sql, guard, [...cids.values()])
  })
}

/** Tokens that one event names. */
const MOST_NAMED = 20
