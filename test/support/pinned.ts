import type { Sql } from '../../services/catalog/database.ts'
import { cidOf } from './pins.ts'

/** Lets every pin of these contents be pinned, or have another status, as if the cluster had done its work. */
export async function settlePinsOf(sql: Sql, texts: readonly string[], status = 'pinned'): Promise<void> {
  await sql.run('update pin set status = $2, status_at = now() where cid = any ($1)', [
    texts.map((text) => cidOf(text).toString()),
    status,
  ])
}
