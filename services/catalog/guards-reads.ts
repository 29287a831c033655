import { changeOf } from '../core/guard/version-change.ts'
import { shownUri } from '../core/collection-report/shown-uri.ts'
import { holdBlock, type SavedBlock } from './chains.ts'
import type { Database, Sql } from './database.ts'
import { raiseEvent } from './events.ts'
import { holdGuard, pinNeeds, type HeldGuard } from './guards-pins.ts'
import { fence, type Leading } from './leases-fence.ts'

/** What a token was read to point to. */
export interface ReadUri {
  /** Decimal; -1: the contract itself. */
  tokenId: string
  /** Null: the contract tells none. */
  uri: Buffer | null
  /** What else the contract says of the token, as JSON; null: nothing, undefined: it could not be looked at. */
  extensions: string | null | undefined
  /** Root of the metadata, when it is on IPFS, and whether it is a part of a folder. */
  root: Buffer | null
  isFolder: boolean
  /** Those of its further URIs. */
  further: readonly { cid: Buffer; isFolder: boolean }[]
  /** There is metadata to be read. */
  hasContent: boolean
  /** A server's address. */
  isCentralised: boolean
}

export interface ReadAt {
  chainId: string
  guardId: string
  block: SavedBlock
  /** Touches that the reading answers. */
  touchedUpTo?: string | undefined
  /** How long what was read of a block that was reorganised away is kept. */
  orphanMs: number
}

/**
 * Notes what tokens were read to point to at one block, and pins the roots of what is new. What was superseded is kept.
 * @returns tokens that point elsewhere now, and pins that were made
 * @throws CONFLICT when another process leads, or the block is not on the chain any more; then nothing is noted
 */
export async function saveReads(
  db: Database,
  leading: Leading,
  { chainId, guardId, block, touchedUpTo, orphanMs }: ReadAt,
  reads: readonly ReadUri[],
): Promise<{ changed: number; pinned: number }> {
  return await db.transaction(async (sql) => {
    await fence(sql, leading)
    await holdBlock(sql, chainId, block)
    const guard = await holdGuard(sql, guardId)
    if (guard === undefined) return { changed: 0, pinned: 0 }
    if (touchedUpTo !== undefined) {
      await sql.run('update guard set touched_up_to = $2 where id = $1', [guardId, touchedUpTo])
    }
    return await note(sql, guard, { block, orphanMs }, reads)
  })
}

interface PresentRow {
  id: string
  tokenId: string
  uri: Buffer | null
  extensions: string | null
  fromNumber: string
  isOrphan: boolean
  isCentralised: boolean
}

async function note(
  sql: Sql,
  guard: HeldGuard,
  { block, orphanMs }: { block: SavedBlock; orphanMs: number },
  reads: readonly ReadUri[],
) {
  const present = new Map(
    (
      await sql.query<PresentRow>(
        `select id, token_id::text as "tokenId", uri, extensions, from_number as "fromNumber", is_orphan as "isOrphan",
                is_centralised as "isCentralised"
           from guard_uri where guard_id = $1 and token_id = any ($2::numeric[]) and superseded_at is null`,
        [guard.id, reads.map(({ tokenId }) => tokenId)],
      )
    ).map((row) => [row.tokenId, row]),
  )
  const judged = reads.map((read) => {
    const before = present.get(read.tokenId)
    const known = before && { ...before, fromBlock: BigInt(before.fromNumber) }
    return { read, before, change: changeOf(known, { ...read, block: block.number }) }
  })
  const confirmed = judged.flatMap(({ before, change }) => (change === 'confirm' && before ? [before.id] : []))
  const replaced = judged.flatMap(({ read, before, change }) =>
    change === 'replace' && before ? [{ read, before }] : [],
  )
  const fresh = judged.flatMap(({ read, change }) => (change === 'first' || change === 'replace' ? [read] : []))
  if (confirmed.length > 0) {
    await sql.run(
      'update guard_uri set is_orphan = false, is_final = false, from_number = $2, from_hash = $3 where id = any ($1)',
      [confirmed, String(block.number), block.hash],
    )
  }
  if (replaced.length > 0) {
    await supersede(
      sql,
      replaced.map(({ before }) => before.id),
      orphanMs,
    )
    await tell(sql, guard, block, replaced)
  }
  const cids = fresh.length === 0 ? [] : await addVersions(sql, guard.id, block, fresh)
  return { changed: replaced.length, pinned: await pinNeeds(sql, guard, cids) }
}

async function supersede(sql: Sql, ids: readonly string[], orphanMs: number): Promise<void> {
  await sql.run(
    `update guard_uri
        set superseded_at = now(), content_due_at = case when not is_orphan then content_due_at end,
            keep_until = case when is_orphan then now() + make_interval(secs => $2 / 1000.0) end
      where id = any ($1)`,
    [ids, orphanMs],
  )
}

/** Answers the roots that the new versions need. Of a URI that the token had before, that of its content is known. */
async function addVersions(
  sql: Sql,
  guardId: string,
  { number, hash }: SavedBlock,
  reads: readonly ReadUri[],
): Promise<Buffer[]> {
  const further = reads.flatMap(({ tokenId, further: roots }) => roots.map((root) => ({ tokenId, ...root })))
  const rows = await sql.query<{ cid: Buffer }>(
    `with added as (
       insert into guard_uri (guard_id, token_id, uri, extensions, from_number, from_hash, root, is_centralised,
                              content_due_at)
       select $1, read.token_id, read.uri, read.extensions, $2, $3, read.root, read.is_centralised,
              case when read.has_content then now() end
         from unnest($4::numeric[], $5::bytea[], $6::bytea[], $7::boolean[], $8::boolean[], $10::text[])
              as read (token_id, uri, root, is_centralised, has_content, extensions)
       returning id, token_id, uri, extensions, root),
     needed as (
       select added.id, added.root as cid, 'metadata' as role, read.is_folder
         from added join unnest($4::numeric[], $9::boolean[]) as read (token_id, is_folder)
                      on read.token_id = added.token_id
        where added.root is not null
        union all
       select added.id, further.cid, 'metadata', further.is_folder
         from added join unnest($11::numeric[], $12::bytea[], $13::boolean[]) as further (token_id, cid, is_folder)
                      on further.token_id = added.token_id
        union all
       select added.id, n.cid, n.role, n.is_folder
         from added
         join lateral (select o.id from guard_uri o
                        where o.guard_id = $1 and o.token_id = added.token_id and o.uri = added.uri
                          and o.extensions is not distinct from added.extensions
                          and o.released_at is null
                        order by o.id desc limit 1) o on true
         join guard_need n on n.uri_id = o.id)
     insert into guard_need (uri_id, guard_id, cid, role, is_folder)
     select distinct on (id, cid) id, $1, cid, role, is_folder from needed order by id, cid, role
     returning cid`,
    [
      guardId,
      String(number),
      hash,
      reads.map(({ tokenId }) => tokenId),
      reads.map(({ uri }) => uri),
      reads.map(({ root }) => root),
      reads.map(({ isCentralised }) => isCentralised),
      reads.map(({ hasContent }) => hasContent),
      reads.map(({ isFolder }) => isFolder),
      reads.map(({ extensions }) => extensions ?? null),
      further.map(({ tokenId }) => tokenId),
      further.map(({ cid }) => cid),
      further.map(({ isFolder }) => isFolder),
    ],
  )
  return [...new Map(rows.map(({ cid }) => [cid.toString('base64'), cid])).values()]
}

/** Tokens that one event names; a new base URI changes all of a collection. */
const MOST_NAMED = 20

async function tell(
  sql: Sql,
  { tenantId, collection }: HeldGuard,
  block: SavedBlock,
  replaced: readonly { read: ReadUri; before: PresentRow }[],
): Promise<void> {
  const tokens = replaced.slice(0, MOST_NAMED).map(({ read, before }) => ({
    id: read.tokenId,
    from: shown(before.uri),
    to: shown(read.uri),
    ...(read.extensions !== undefined && before.extensions !== read.extensions && { further: true }),
  }))
  const data = { block: String(block.number), blockHash: block.hash, count: replaced.length, tokens }
  await raiseEvent(sql, tenantId, { type: 'uri.changed', subject: collection, data })
  const worse = replaced.filter(({ read, before }) => read.isCentralised && !before.isCentralised)
  if (worse.length === 0) return
  const ids = worse.slice(0, MOST_NAMED).map(({ read }) => read.tokenId)
  await raiseEvent(sql, tenantId, {
    type: 'became.centralised',
    subject: collection,
    data: { block: String(block.number), count: worse.length, tokens: ids },
  })
}

function shown(uri: Buffer | null): string | null {
  return uri === null ? null : shownUri(uri.toString('utf8')).replaceAll('\0', '').toWellFormed()
}
