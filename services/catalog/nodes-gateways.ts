import type { Sql } from './database.ts'

/** Nodes that are not down, with their gateways, in an order of chance; those that are up come first. */
export function reachableGateways(sql: Sql): Promise<{ name: string; gateway: string }[]> {
  return sql.query(`select name, gateway from node where liveness <> 'down' order by liveness <> 'up', random()`)
}
