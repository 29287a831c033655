import type { Policy } from '../core/policy.ts'
import { plan, type PlacementInput } from '../core/placement.ts'
import type { PlacedReplica } from '../core/replica.ts'
import type { Sql } from './database.ts'
import { readNodes } from './nodes.ts'
import { readContents, type ContentCase } from './reconcile-contents.ts'

/** What a policy would move, were it saved. */
export interface PolicyPreview {
  /** Contents of the tenant's pins that name the policy. */
  contents: number
  /** How many of them were looked at; the figures below are of these. */
  sampled: number
  copiesAdded: number
  bytesAdded: number
  copiesReleased: number
  bytesReleased: number
  /** Contents for which the cluster could not satisfy every rule. */
  unsatisfied: number
  /** Some of the reasons, each once. */
  problems: string[]
}

/** Contents that one query reads. */
const SLICE = 200
const MAX_PROBLEMS = 5

/**
 * Plans what the pins of a tenant that name a policy would need, were it to say something else. Nothing is written. Of very
 * many contents the first `limit`, by their ids, are looked at.
 */
export async function previewPolicy(
  sql: Sql,
  { tenantId, name, policy, limit = 2_000 }: { tenantId: number; name: string; policy: Policy; limit?: number },
): Promise<PolicyPreview> {
  const nodes = await readNodes(sql)
  const preview = await emptyPreview(sql, tenantId, name)
  const problems = new Set<string>()
  let after = '0'
  while (preview.sampled < limit) {
    const ids = await contentsOf(sql, { tenantId, name, after, limit: Math.min(SLICE, limit - preview.sampled) })
    if (ids.length === 0) break
    after = ids.at(-1) ?? after
    const replaced = await policiesOfName(sql, tenantId, name)
    for (const content of await readContents(sql, ids)) {
      const others = content.policies.filter(({ policyId }) => !replaced.has(policyId)).map((entry) => entry.policy)
      add(preview, problems, content, inputOf(content, [...others, policy], nodes))
    }
    preview.sampled += ids.length
  }
  return { ...preview, problems: [...problems].slice(0, MAX_PROBLEMS) }
}

async function emptyPreview(sql: Sql, tenantId: number, name: string): Promise<PolicyPreview> {
  const [row] = await sql.query<{ contents: number }>(
    `select count(distinct p.content_id)::float8 as contents from pin p join policy y on y.id = p.policy_id
      where p.tenant_id = $1 and y.name = $2`,
    [tenantId, name],
  )
  return {
    contents: row?.contents ?? 0,
    sampled: 0,
    copiesAdded: 0,
    bytesAdded: 0,
    copiesReleased: 0,
    bytesReleased: 0,
    unsatisfied: 0,
    problems: [],
  }
}

async function contentsOf(
  sql: Sql,
  { tenantId, name, after, limit }: { tenantId: number; name: string; after: string; limit: number },
): Promise<string[]> {
  const rows = await sql.query<{ id: string }>(
    `select distinct p.content_id as id from pin p join policy y on y.id = p.policy_id
      where p.tenant_id = $1 and y.name = $2 and p.content_id > $3
      order by p.content_id limit $4`,
    [tenantId, name, after, limit],
  )
  return rows.map(({ id }) => id)
}

/** Versions that the new one would take the place of. The system's policy of that name stays for others who use it. */
async function policiesOfName(sql: Sql, tenantId: number, name: string): Promise<Set<number>> {
  const rows = await sql.query<{ id: number }>(`select id from policy where tenant_id = $1 and name = $2`, [
    tenantId,
    name,
  ])
  return new Set(rows.map(({ id }) => id))
}

function inputOf(content: ContentCase, policies: readonly Policy[], nodes: PlacementInput['nodes']): PlacementInput {
  const { root, replicas, bytes } = content
  return { policies, nodes, replicas, root, ...(bytes !== undefined && { sizeBytes: bytes }) }
}

/** What is added comes first; what then is too much is found by planning again as if all copies had arrived. */
function add(preview: PolicyPreview, problems: Set<string>, { bytes = 0 }: ContentCase, input: PlacementInput): void {
  const first = plan(input)
  const arrived = plan({ ...input, replicas: arrive(input.replicas, first.keep) })
  preview.copiesAdded += first.allocate.length
  preview.bytesAdded += first.allocate.length * bytes
  preview.copiesReleased += arrived.release.length
  preview.bytesReleased += arrived.release.length * bytes
  if (first.problems.length > 0) preview.unsatisfied++
  for (const { message } of first.problems) problems.add(message)
}

function arrive(replicas: readonly PlacedReplica[], keep: readonly number[]): PlacedReplica[] {
  const others = replicas.filter(({ nodeId }) => !keep.includes(nodeId))
  return [...others, ...keep.map((nodeId) => ({ nodeId, state: 'verified' as const, attempts: 0 }))]
}
