import { HoldfastError } from '../core/errors.ts'
import type { Sql } from './database.ts'

/** The row that orders a tenant's changes: its quota, and the clock of its pins. First in the order of locks. */
export interface LockedTenant {
  pins: number
  maxPins: number | null
  /** `created` of its newest pin, and the present, in microseconds since 1970. */
  last: string
  now: string
}

export async function lockTenant(sql: Sql, tenantId: number): Promise<LockedTenant> {
  const [tenant] = await sql.prepared<LockedTenant>(
    'lock-tenant',
    `select pins::float8 as pins, max_pins::float8 as "maxPins",
            (extract(epoch from greatest(last_created, timestamptz '2000-01-01Z')) * 1000000)::bigint as last,
            (extract(epoch from clock_timestamp()) * 1000000)::bigint as now
     from tenant_usage where tenant_id = $1 for no key update`,
    [tenantId],
  )
  if (tenant === undefined) throw new HoldfastError('NOT_FOUND', 'There is no such account.')
  return tenant
}
