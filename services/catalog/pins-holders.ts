import type { Sql } from './database.ts'

/** A node that has a verified copy, with what is needed to send it an upload. */
export interface Holder {
  id: number
  name: string
  /** `host:port` of its transfer listener. */
  transfer: string
  /** base64url of 32 bytes. */
  publicKey: string
}

/** Nodes that have a verified copy of what a tenant's pin wants and take writes just now, in an order of chance. */
export function pinHolders(sql: Sql, tenantId: number, pinId: string): Promise<Holder[]> {
  return sql.query<Holder>(
    `select n.id, n.name, n.transfer,
            translate(rtrim(encode(n.public_key, 'base64'), '='), '+/', '-_') as "publicKey"
       from pin p
       join replica r on r.content_id = p.content_id and r.state = 'verified'
       join node n on n.id = r.node_id and n.liveness = 'up' and n.state = 'active'
       join node_beat b on b.node_id = n.id and b.refusal is null
      where p.tenant_id = $1 and p.id = $2 order by random()`,
    [tenantId, pinId],
  )
}
