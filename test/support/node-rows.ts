import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { Sql } from '../../services/catalog/database.ts'
import { rawPublicKey } from '../../services/core/node-key.ts'
import { GIB } from '../../services/core/units.ts'

export interface NodeRow {
  name: string
  region: string
  liveness?: 'up' | 'suspect' | 'down'
  /** Made when undefined. */
  publicKey?: string
  transfer?: string
}

/** Writes a node as if it had registered and beaten just now. Answers its number. */
export async function addNode(sql: Sql, { name, region, liveness = 'up', ...given }: NodeRow): Promise<number> {
  const publicKey = given.publicKey ?? rawPublicKey(generateKeyPairSync('ed25519').publicKey) ?? ''
  const peer = `12D3KooW${randomBytes(33)
    .toString('base64url')
    .replaceAll(/[-_0OIl]/g, 'x')}`
  const [node] = await sql.query<{ id: number }>(
    `insert into node (name, public_key, labels, liveness, session_hash, transfer, gateway, peer_id, addresses)
     values ($1, $2, $3, $4, $5, $6, 'http://127.0.0.1:1', $7, $8) returning id`,
    [
      name,
      Buffer.from(publicKey, 'base64url'),
      JSON.stringify({ region }),
      liveness,
      randomBytes(32),
      given.transfer ?? '127.0.0.1:1',
      peer,
      [`/ip4/127.0.0.1/tcp/4001/p2p/${peer}`],
    ],
  )
  await sql.run(
    `insert into node_beat (node_id, capacity_bytes, free_bytes, stored_bytes, blocks, roots) values ($1, $2, $3, 0, 0, 0)`,
    [node?.id, 100 * GIB, 90 * GIB],
  )
  return node?.id ?? 0
}
