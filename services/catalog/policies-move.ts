import { lockContentIds, moveReferences, type Reference } from './content-references.ts'
import type { Database, Sql } from './database.ts'
import { lockTenant } from './tenant-lock.ts'

interface Move {
  policyId: number
  name: string
  /** Null: the system's, which pins of all tenants may follow. */
  owner: number | null
  /** The last pin that was looked at. */
  tenant: number
  pin: string
}

/**
 * Lets the next `limit` pins follow a policy that was saved since they were made: those of older versions, and of the
 * system's policy that a tenant's own now hides. Their contents are queued for placement. Any number of processes may do
 * this at once. Answers whether there is more to do.
 */
export async function movePinsToPolicies(db: Database, limit: number): Promise<boolean> {
  const [next] = await db.query<Move>(`${SELECT_MOVE} order by p.id limit 1`)
  if (next === undefined) return false
  const tenantId = await tenantAt(db, next)
  await db.transaction(async (sql) => {
    if (tenantId === undefined) await finish(sql, next)
    else await moveSlice(sql, next.policyId, tenantId, limit)
  })
  return true
}

const SELECT_MOVE = `select p.id as "policyId", p.name, p.tenant_id as owner, p.moved_tenant as tenant, p.moved_pin as pin
  from policy p where p.moved_at is null and p.retired_at is null`

/** Whose pins come next; undefined when all were looked at. */
async function tenantAt(sql: Sql, move: Move): Promise<number | undefined> {
  const [tenant] = await sql.query<{ id: number }>(
    'select id from tenant where id >= $1 and ($2::int is null or id = $2) order by id limit 1',
    [move.tenant, move.owner],
  )
  return tenant?.id
}

async function finish(sql: Sql, move: Move): Promise<void> {
  await sql.run('update policy set moved_at = now() where id = $1 and moved_tenant = $2', [move.policyId, move.tenant])
}

async function moveSlice(sql: Sql, policyId: number, tenantId: number, limit: number): Promise<void> {
  // The tenant comes first in the order of locks, and no pin of an older version is made while it is held.
  await lockTenant(sql, tenantId)
  const [move] = await sql.query<Move>(`${SELECT_MOVE} and p.id = $1 for no key update`, [policyId])
  if (move === undefined || move.tenant > tenantId) return
  const after = move.tenant === tenantId ? move.pin : FIRST
  const pins = await sql.query<{ id: string }>(
    'select id from pin where tenant_id = $1 and id > $2 order by id limit $3',
    [tenantId, after, limit],
  )
  await movePins(
    sql,
    move,
    tenantId,
    pins.map(({ id }) => id),
  )
  const last = pins.at(-1)
  const [tenant, pin] = last === undefined || pins.length < limit ? [tenantId + 1, FIRST] : [tenantId, last.id]
  await sql.run('update policy set moved_tenant = $2, moved_pin = $3 where id = $1', [policyId, tenant, pin])
}

const FIRST = '00000000-0000-0000-0000-000000000000'

async function movePins(sql: Sql, move: Move, tenantId: number, ids: readonly string[]): Promise<void> {
  const older = await olderPolicies(sql, move)
  if (older.length === 0 || ids.length === 0) return
  const contents = await sql.query<{ id: string }>(
    `select content_id as id from pin where tenant_id = $1 and id = any ($2) and policy_id = any ($3)
     union select replaces_content_id from pin where tenant_id = $1 and id = any ($2) and replaces_policy_id = any ($3)`,
    [tenantId, ids, older],
  )
  await lockContentIds(
    sql,
    contents.map(({ id }) => id),
  )
  const moved: Reference[] = []
  for (const [content, policy] of CLAIMS) {
    moved.push(
      ...(await sql.query<Reference>(
        `update pin p set ${policy} = $4
         from (select id, ${content} as content_id, ${policy} as policy_id from pin
               where tenant_id = $1 and id = any ($2) and ${policy} = any ($3)) as old
         where p.tenant_id = $1 and p.id = old.id
         returning old.content_id as "contentId", old.policy_id as "policyId"`,
        [tenantId, ids, older, move.policyId],
      )),
    )
  }
  await moveReferences(sql, moved, move.policyId)
}

/** A pin claims its own content, and that of the pin it took the place of. */
const CLAIMS = [
  ['content_id', 'policy_id'],
  ['replaces_content_id', 'replaces_policy_id'],
] as const

/** Policies of the name whose pins shall follow. A tenant's own hides the system's; the system's hides nobody's. */
async function olderPolicies(sql: Sql, { policyId, name, owner }: Move): Promise<number[]> {
  const rows = await sql.query<{ id: number }>(
    'select id from policy where name = $2 and id <> $1 and (tenant_id is null or tenant_id = $3)',
    [policyId, name, owner],
  )
  return rows.map(({ id }) => id)
}
