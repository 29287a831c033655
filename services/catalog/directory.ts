import { createHash } from 'node:crypto'
import type { Directory, DirectoryNode } from '../core/sync.ts'
import type { Sql } from './database.ts'

/** A controller that was not heard of for so long is left out. */
const CONTROLLER_TTL_MS = 120_000

/** Who is in the cluster now. Equal directories have equal versions. */
export async function readDirectory(sql: Sql): Promise<Directory> {
  const nodes = await sql.query<DirectoryNode>(
    `select name, translate(rtrim(encode(public_key, 'base64'), '='), '+/', '-_') as "publicKey", labels, transfer,
            gateway, addresses, liveness
       from node order by name`,
  )
  const controllers = await sql.query<{ publicKey: string }>(
    `select translate(rtrim(encode(public_key, 'base64'), '='), '+/', '-_') as "publicKey"
       from controller where seen_at > now() - make_interval(secs => $1 / 1000.0) order by public_key`,
    [CONTROLLER_TTL_MS],
  )
  const content = { nodes, controllers: controllers.map(({ publicKey }) => publicKey) }
  const version = createHash('sha256').update(JSON.stringify(content)).digest('base64url')
  return { version, ...content }
}

/**
 * Says that a control-plane process is there, and that nodes shall take uploads from it. To be repeated at least every
 * half minute.
 * @param publicKey base64url of 32 bytes
 */
export async function touchController(sql: Sql, publicKey: string): Promise<void> {
  await sql.run(
    `with gone as (delete from controller where seen_at < now() - interval '1 day')
     insert into controller (public_key) values ($1) on conflict (public_key) do update set seen_at = now()`,
    [Buffer.from(publicKey, 'base64url')],
  )
}
