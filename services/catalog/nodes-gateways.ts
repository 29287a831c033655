import type { Sql } from './database.ts'

/** Nodes that are up, with their gateways, in an order of chance. */
export function gatewayNodesUp(sql: Sql): Promise<{ name: string; gateway: string }[]> {
  return sql.query(`select name, gateway from node where liveness = 'up' order by random()`)
}
