import type { Database } from '../catalog/database.ts'
import { nodesUp } from '../catalog/names-targets.ts'
import { hasCode } from '../core/errors.ts'
import { rendezvousScore } from '../core/rendezvous.ts'
import { HOUR_MS } from '../core/units.ts'
import { tellingOf, type NodePuts } from './node-puts.ts'
import type { PutTarget } from './put-target.ts'

/** Nodes that are in the topic of one name. The others get the name by the feed. */
const CARRIERS = 2
/** So soon another node is in the topics of one that has died. */
const PUT_EVERY_MS = HOUR_MS

/**
 * The PubSub topics of names, by way of the nodes. Each name has two that are in its topic, the same as long as they are
 * up: they tell its record to the topic, and give it to whoever joins.
 */
export function pubsubTarget(db: Database, puts: NodePuts): PutTarget {
  return {
    id: 'pubsub',
    putEveryMs: PUT_EVERY_MS,
    async put(name, record, { signal }) {
      const carriers = carriersOf(name.text, await nodesUp(db))
      const put = { by: 'pubsub', name: name.text, record, signal } as const
      const results = await Promise.allSettled(carriers.map((node) => puts.put(node, put)))
      const told = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      // Each tells the same peers, and those in the topic tell one another.
      if (told.length > 0) return Math.max(...told)
      const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []))
      const defect = failures.find((failure) => !hasCode(failure))
      throw defect ?? tellingOf(failures.filter((failure) => hasCode(failure)))
    },
  }
}

/** A node that comes or goes changes only the names that it takes or had. */
function carriersOf<Node extends { id: number }>(name: string, nodes: readonly Node[]): Node[] {
  const scored = nodes.map((node) => ({ node, score: rendezvousScore(name, node.id, 1) }))
  return scored
    .toSorted((a, b) => b.score - a.score)
    .slice(0, CARRIERS)
    .map(({ node }) => node)
}
