import { CID } from 'multiformats/cid'
import { cidKey, toV1 } from '../core/cid.ts'
import type { PinEvidence } from '../core/collection-report/finding.ts'
import type { Sql } from './database.ts'

/**
 * What an account's pins keep of these roots: for each root that it pins, the pin that wants most of those that are pinned,
 * with the copies that were verified. What others pin is not told.
 * @param since copies that were not read back since then do not count: text in UTC
 */
export async function pinsOf(
  sql: Sql,
  { tenantId, since = null }: { tenantId: number; since?: string | null },
  cids: readonly CID[],
): Promise<Map<string, PinEvidence>> {
  if (cids.length === 0) return new Map()
  const rows = await sql.query<{ cid: Buffer; evidence: PinEvidence }>(
    `select c.cid, json_build_object(
              'requestid', p.id, 'status', p.status, 'policy', p.policy, 'copiesWanted', p.wanted,
              'holders', coalesce(h.holders, '[]'::json)) as evidence
       from content c
       join lateral (
         select p.id, p.status, o.name as policy, o.copies_target as wanted
           from pin p join policy o on o.id = p.policy_id
          where p.content_id = c.id and p.tenant_id = $1
          order by (p.status = 'pinned') desc, o.copies_target desc, p.id limit 1) as p on true
       left join lateral (
         select json_agg(json_build_object(
                  'node', n.name, 'region', coalesce(n.labels ->> 'region', ''),
                  'verifiedAt', to_char(r.verified_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
                  order by n.name) as holders
           from replica r join node n on n.id = r.node_id
          where r.content_id = c.id and r.state = 'verified' and ($3::timestamptz is null or r.verified_at >= $3)) as h on true
      where c.cid = any ($2)`,
    [tenantId, cids.map((cid) => Buffer.from(toV1(cid).bytes)), since],
  )
  return new Map(rows.map(({ cid, evidence }) => [cidKey(CID.decode(cid)), evidence]))
}
