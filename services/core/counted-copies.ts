import { best } from './lexicographic.ts'
import type { StorageNode } from './node.ts'
import { crowdedRules, distinctValues, isForbidden, mergePolicies } from './placement-rules.ts'
import type { Policy } from './policy.ts'

/**
 * How many of the verified copies count for `pinned`: each place up to its `max`, and with a `distinct` rule not more than
 * would leave room for the places that are missing.
 */
export function countsTowards(
  policy: Policy,
  verified: readonly { nodeId: number }[],
  nodes: readonly StorageNode[],
): number {
  const rules = mergePolicies([policy])
  const holders = new Set(verified.map(({ nodeId }) => nodeId))
  let counted = nodes.filter((node) => holders.has(node.id) && !isForbidden(rules, node))
  for (;;) {
    const crowded = counted.filter((node) => crowdedRules(rules, node, counted) > 0)
    if (crowded.length === 0) break
    const out = best(crowded, (node) => [crowdedRules(rules, node, counted), -node.id])
    counted = counted.filter((node) => node !== out)
  }
  return rules.distinct.reduce((count, { spread, distinct }) => {
    const values = distinctValues(counted, spread)
    if (values >= distinct) return count
    return Math.min(count, values + Math.max(0, rules.floor - distinct))
  }, counted.length)
}
