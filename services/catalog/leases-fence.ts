import { HoldfastError } from '../core/errors.ts'
import type { Sql } from './database.ts'

/** A role that this process holds, as it was taken. */
export interface Leading {
  role: string
  epoch: number
}

/**
 * Makes the transaction one of whoever holds the role: a process that was held up for longer than its lease, while another
 * took over, writes nothing any more.
 * @throws CONFLICT
 */
export async function fence(sql: Sql, { role, epoch }: Leading): Promise<void> {
  const rows = await sql.query('select from leader where role = $1 and epoch = $2 for share', [role, epoch])
  if (rows.length === 0) throw new HoldfastError('CONFLICT', `Another process has the role ${role}.`)
}
