import { CID } from 'multiformats/cid'
import type { AccessRule } from '../core/access-rule.ts'
import { cidKey, toV1 } from '../core/cid.ts'
import type { AccessLine } from '../core/gateway-rules.ts'
import type { Sql } from './database.ts'

export interface SavedAccessRule {
  cid: string
  rule: AccessRule
  updatedAt: string
}

/**
 * Says who may read a root that the tenant has pinned.
 * @returns undefined when the tenant has no pin of it
 */
export async function putAccessRule(
  sql: Sql,
  tenantId: number,
  cid: CID,
  rule: AccessRule,
): Promise<SavedAccessRule | undefined> {
  const [row] = await sql.query<{ updatedAt: string }>(
    `insert into access_rule as rule (tenant_id, content_id, rule)
     select $1, content.id, $3 from content
     where content.cid = $2 and exists (select from pin where tenant_id = $1 and content_id = content.id)
     on conflict (tenant_id, content_id) do update set rule = excluded.rule, updated_at = now()
     returning rule.updated_at as "updatedAt"`,
    [tenantId, toV1(cid).bytes, JSON.stringify(rule)],
  )
  return row && { cid: cidKey(cid), rule, ...row }
}

export async function getAccessRule(sql: Sql, tenantId: number, cid: CID): Promise<SavedAccessRule | undefined> {
  const [row] = await sql.query<Omit<SavedAccessRule, 'cid'>>(
    `select rule.rule, rule.updated_at as "updatedAt" from access_rule as rule
     join content on content.id = rule.content_id where rule.tenant_id = $1 and content.cid = $2`,
    [tenantId, toV1(cid).bytes],
  )
  return row && { cid: cidKey(cid), ...row }
}

/** Answers whether there was a rule. */
export async function deleteAccessRule(sql: Sql, tenantId: number, cid: CID): Promise<boolean> {
  const gone = await sql.run(
    `delete from access_rule as rule using content
     where content.id = rule.content_id and rule.tenant_id = $1 and content.cid = $2`,
    [tenantId, toV1(cid).bytes],
  )
  return gone > 0
}

/**
 * What gateways have to know of restricted content. Another tenant's pin without a rule makes a root public when it was
 * there first or came with the bytes: nobody can restrict what others have published, and knowing a CID does not open it.
 */
export async function readAccess(sql: Sql): Promise<AccessLine[]> {
  const roots = await sql.query<{ cid: Buffer; allowedBy: { tenant: number; rule: AccessRule }[] }>(
    `select content.cid,
            jsonb_agg(jsonb_build_object('tenant', rule.tenant_id, 'rule', rule.rule) order by rule.tenant_id)
              as "allowedBy"
       from access_rule as rule join content on content.id = rule.content_id
      where not exists (
        select from pin
         where pin.content_id = rule.content_id
           and not exists (select from access_rule as own
                            where own.tenant_id = pin.tenant_id and own.content_id = pin.content_id)
           and (pin.profile is not null
                or pin.created_at < (select min(first.created_at) from access_rule as first
                                      where first.content_id = rule.content_id)))
      group by content.id order by content.cid`,
  )
  const tokens = await sql.query<{ token: string; tenant: number; expiresMs: number | null }>(
    `select encode(hash, 'hex') as token, tenant_id as tenant, extract(epoch from expires_at)::float8 * 1000 as "expiresMs"
       from api_token
      where 'gateway:read' = any (scopes) and revoked_at is null
        and tenant_id in (select tenant_id from access_rule)
      order by hash`,
  )
  return [...roots.map(({ cid, allowedBy }) => ({ root: cidKey(CID.decode(cid)), allowedBy })), ...tokens]
}
