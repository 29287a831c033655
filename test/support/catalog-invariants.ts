import assert from 'node:assert/strict'
import type { Sql } from '../../services/catalog/database.ts'

/** What must hold of pins, and of what is counted beside them, whenever nothing is under way. */
export async function assertCountsAreExact(db: Sql): Promise<void> {
  assert.deepEqual(await db.query(WRONG_USAGE), [], 'tenant_usage.pins is the number of pins')
  assert.deepEqual(await db.query(WRONG_CONTENT), [], 'content.pins is the number of claims, and idle exactly at none')
  assert.deepEqual(await db.query(WRONG_POLICY), [], 'content_policy has the claims of each policy, and no others')
}

const CLAIMS = `(
  select content_id, policy_id from pin
  union all select replaces_content_id, replaces_policy_id from pin where replaces_content_id is not null)`

const WRONG_USAGE = `select u.tenant_id, u.pins, count(p.id) as counted from tenant_usage u
  left join pin p on p.tenant_id = u.tenant_id group by u.tenant_id, u.pins having u.pins <> count(p.id)`

const WRONG_CONTENT = `select c.id, c.pins, c.idle_since, count(claim.content_id) as counted from content c
  left join ${CLAIMS} claim on claim.content_id = c.id
  group by c.id having c.pins <> count(claim.content_id) or (c.idle_since is null) <> (c.pins > 0)`

const WRONG_POLICY = `select * from (
    select content_id, policy_id, count(*)::int as pins from ${CLAIMS} claim group by content_id, policy_id) counted
  full join content_policy using (content_id, policy_id) where counted.pins is distinct from content_policy.pins`
