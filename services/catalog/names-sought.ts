import type { Database, Sql } from './database.ts'
import { holdName, raisePublished, trimHistory, writeRecords } from './ipns-names.ts'
import type { Decide } from './names.ts'

/**
 * Takes names of which others may know a newer record: those whose key is elsewhere, each `everyMs`, and those whose key
 * was imported, once. Each is given to one process.
 */
export async function takeSoughtNames(sql: Sql, limit: number, everyMs: number): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `with sought as (
       select id from name
        where sought_at is null or (mode <> 'hosted' and sought_at < now() - make_interval(secs => $2 / 1000.0))
        order by sought_at nulls first limit $1 for update skip locked)
     update name set sought_at = now() from sought where name.id = sought.id returning name.name`,
    [limit, everyMs],
  )
  return [...new Set(rows.map(({ name }) => name))]
}

/** Gateways of nodes that are up, in an order of chance. */
export async function gatewaysUp(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ gateway: string }>(`select gateway from node where liveness = 'up' order by random()`)
  return rows.map(({ gateway }) => gateway)
}

/** Takes a record that was found of a name, if somebody still has the name. Answers whether it is the newest now. */
export async function takeFound(db: Database, name: string, decide: Decide): Promise<boolean> {
  return await db.transaction(async (sql) => {
    const held = await holdName(sql, name)
    const wanted = await sql.query('select from name where name = $1 limit 1', [name])
    const record = wanted.length === 0 ? undefined : decide(held)
    if (record === undefined) return false
    await Promise.all([trimHistory(sql, name), raisePublished(sql, held, record)])
    await writeRecords(sql, [{ name, ...record }])
    return true
  })
}
