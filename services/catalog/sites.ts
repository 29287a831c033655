import type { Sql } from './database.ts'
import { FOLLOW_COLUMNS, followOf, type FollowRow, type SavedFollow } from './follows.ts'

/** A hosted name of a tenant that it follows itself: what it publishes stays pinned. */
export interface SavedSite extends SavedFollow {
  /** What the tenant calls it; null for a name without a label. */
  label: string | null
  /** Of the newest record; decimal. */
  sequence: string
  /** When that was published. */
  publishedAt: string | null
}

const SELECT = `select ${FOLLOW_COLUMNS}, n.label, i.sequence, i.target as published,
    (select r.published_at from name_record r where r.name = i.name and r.sequence = i.sequence) as "publishedAt"
  from follow f
  join name n on n.tenant_id = f.tenant_id and n.name = f.name and n.mode = 'hosted'
  join ipns_name i on i.name = f.name`

type SiteRow = FollowRow & Pick<SavedSite, 'label' | 'sequence' | 'publishedAt'> & { published: string | null }

export async function getSite(sql: Sql, tenantId: number, name: string): Promise<SavedSite | undefined> {
  const [row] = await sql.query<SiteRow>(`${SELECT} where f.tenant_id = $1 and f.name = $2`, [tenantId, name])
  return row && siteOf(row)
}

/** A tenant's sites in the order of their names, after that one. */
export async function listSites(
  sql: Sql,
  tenantId: number,
  { after, limit }: { after: string; limit: number },
): Promise<SavedSite[]> {
  const rows = await sql.query<SiteRow>(`${SELECT} where f.tenant_id = $1 and f.name > $2 order by f.name limit $3`, [
    tenantId,
    after,
    limit,
  ])
  return rows.map(siteOf)
}

/** Its target is what it says, not what was last seen of it. */
function siteOf({ published, ...row }: SiteRow): SavedSite {
  return { ...followOf(row), target: published }
}
