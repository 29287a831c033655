import { isDeepStrictEqual } from 'node:util'
import { HoldfastError } from '../core/errors.ts'
import { DEFAULT_POLICY, DEFAULT_POLICY_NAME, type Policy } from '../core/policy.ts'
import type { Database, Sql } from './database.ts'
import { lockTenant } from './tenant-lock.ts'
import { POLICIES, type Wakes } from './wake.ts'

/** A saved policy, in its current version. */
export interface SavedPolicy {
  id: number
  name: string
  /** Grows with each save. */
  version: number
  /** One of the system is there for everybody, and nobody's to change; a tenant's own of the same name comes first. */
  owner: 'tenant' | 'system'
  policy: Policy
  createdAt: string
}

const COLUMNS = `id, name, version, case when tenant_id is null then 'system' else 'tenant' end as owner, spec as policy,
  created_at as "createdAt"`

/** The policies that pins of the tenant can name, by name. */
export function listPolicies(sql: Sql, tenantId: number): Promise<SavedPolicy[]> {
  return sql.query<SavedPolicy>(
    `select distinct on (name) ${COLUMNS} from policy
     where retired_at is null and (tenant_id = $1 or tenant_id is null)
     order by name, tenant_id nulls last`,
    [tenantId],
  )
}

/** What a pin of the tenant means by that name; undefined when it means nothing. */
export async function getPolicy(sql: Sql, tenantId: number, name: string): Promise<SavedPolicy | undefined> {
  const [saved] = await sql.query<SavedPolicy>(
    `select ${COLUMNS} from policy
     where retired_at is null and (tenant_id = $1 or tenant_id is null) and name = $2
     order by tenant_id nulls last limit 1`,
    [tenantId, name],
  )
  return saved
}

/** The ids that names of policies stand for; names that mean nothing are left out. */
export async function currentPolicyIds(
  sql: Sql,
  tenantId: number,
  names: readonly string[],
): Promise<Map<string, number>> {
  const rows = await sql.prepared<{ name: string; id: number }>(
    'current-policy-ids',
    `select distinct on (name) name, id from policy
     where retired_at is null and (tenant_id = $1 or tenant_id is null) and name = any ($2)
     order by name, tenant_id nulls last`,
    [tenantId, names],
  )
  return new Map(rows.map(({ name, id }) => [name, id]))
}

/**
 * Saves a policy of the tenant. Its pins that name it follow soon: see {@link movePinsToPolicies}. Saving what is there
 * already changes nothing.
 * @returns `created` when the tenant had none of that name
 */
export async function putPolicy(
  db: Database,
  tenantId: number,
  name: string,
  policy: Policy,
  wakes?: Wakes,
): Promise<{ saved: SavedPolicy; created: boolean }> {
  const answer = await db.transaction(async (sql) => {
    await lockTenant(sql, tenantId)
    return save(sql, tenantId, name, policy)
  })
  wakes?.announce(POLICIES)
  return answer
}

/** Sees to it that the system's default policy is what this version of the program says. */
export async function ensureDefaultPolicy(db: Database): Promise<void> {
  await db.transaction(async (sql) => {
    await sql.query('select pg_advisory_xact_lock($1)', [SYSTEM_POLICIES_LOCK])
    await save(sql, null, DEFAULT_POLICY_NAME, DEFAULT_POLICY)
  })
}

/** Any number of its own: processes that start at once save the same policy. */
const SYSTEM_POLICIES_LOCK = 5_701_340_222

async function save(
  sql: Sql,
  tenantId: number | null,
  name: string,
  policy: Policy,
): Promise<{ saved: SavedPolicy; created: boolean }> {
  const spec = JSON.stringify(policy)
  const [current] = await sql.query<SavedPolicy>(
    `select ${COLUMNS} from policy where retired_at is null and tenant_id is not distinct from $1 and name = $2`,
    [tenantId, name],
  )
  if (current !== undefined && isDeepStrictEqual(current.policy, JSON.parse(spec))) {
    return { saved: current, created: false }
  }
  await sql.run('update policy set retired_at = now() where id = $1', [current?.id ?? 0])
  const [saved] = await sql.query<SavedPolicy>(
    `insert into policy (tenant_id, name, version, spec, copies_min, copies_target)
     values ($1, $2, $3, $4, $5, $6) returning ${COLUMNS}`,
    [tenantId, name, (current?.version ?? 0) + 1, spec, policy.copies.min, policy.copies.target],
  )
  return { saved: saved as SavedPolicy, created: current === undefined }
}

/**
 * Deletes a policy of the tenant. Answers whether there was one.
 * @throws CONFLICT while pins use it
 */
export async function deletePolicy(db: Database, tenantId: number, name: string): Promise<boolean> {
  return db.transaction(async (sql) => {
    await lockTenant(sql, tenantId)
    const [used] = await sql.query(
      `select from content_policy where policy_id in (select id from policy where tenant_id = $1 and name = $2) limit 1`,
      [tenantId, name],
    )
    if (used !== undefined) {
      throw new HoldfastError('CONFLICT', `Pins use the policy ${name}. Replace or remove them first.`)
    }
    return (await sql.run('delete from policy where tenant_id = $1 and name = $2', [tenantId, name])) > 0
  })
}
