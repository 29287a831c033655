import { NAMES_IN_PAGE, placeText, type FeedPlace, type NamePage } from '../core/name-feed.ts'
import type { Sql } from './database.ts'

/** Where the feed of names ends now, as text. */
export async function readFeedEnd(sql: Sql): Promise<string> {
  const [row] = await sql.query<FeedPlace>('select id as feed, version::float8 as version from name_feed')
  return placeText(row ?? { feed: '', version: 0 })
}

/**
 * The names that came after a place, in the order of their commits. A place in another feed, or one that this feed has not
 * come to yet (the database was put back to an earlier state), is as good as none.
 */
export async function readNamePage(sql: Sql, { feed, version }: FeedPlace): Promise<NamePage> {
  const rows = await sql.query<{ feed: string; end: number; version: number | null; name: string; record: Buffer }>(
    `select f.id as feed, f.version::float8 as end, i.version::float8 as version, i.name, i.record
       from name_feed f
       left join lateral (
         select version, name, record from ipns_name
          where version > case when f.id = $1 and f.version >= $2 then $2::bigint else 0 end and valid_until > now()
          order by version limit $3) i on true
      order by i.version`,
    [feed, version, NAMES_IN_PAGE],
  )
  const found = rows.filter((row) => row.version !== null)
  const [first] = rows
  const end = found.length < NAMES_IN_PAGE ? (first?.end ?? 0) : (found.at(-1)?.version ?? 0)
  return {
    at: { feed: first?.feed ?? feed, version: end },
    names: found.map(({ name, record }) => ({ name, record: record.toString('base64') })),
  }
}

/** Notes how far a node has the feed on its disk. */
export async function noteReader(sql: Sql, nodeId: number, { feed, version }: FeedPlace): Promise<void> {
  await sql.run(
    `insert into name_reader as known (node_id, feed, version) values ($1, $2, $3)
     on conflict (node_id) do update set feed = $2, version = $3, at = now()
       where (known.feed, known.version) is distinct from ($2, $3)`,
    [nodeId, feed, version],
  )
}
