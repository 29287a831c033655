import type { StorageNode } from './node.ts'
import { isForbidden, preference, type PlacementRules } from './placement-rules.ts'
import { rendezvousScore } from './rendezvous.ts'
import type { PlacedReplica } from './replica.ts'
import { GIB } from './units.ts'

const MIN_FREE_SHARE = 0.15
/** Of a large disk a share is more than collection and the system ever need. */
const MIN_FREE_BYTES = 16 * GIB

/** No new copy goes to a node with fewer bytes free, or that would be left with less than half of them. */
export function leastFree(capacityBytes: number): number {
  return Math.min(capacityBytes * MIN_FREE_SHARE, MIN_FREE_BYTES)
}

/** An allocation that failed this often gives way to another node. */
const PATIENCE = 4

/** A node with its replica of the root, if any, and the root's opinion of it. */
export interface Place {
  node: StorageNode
  replica: PlacedReplica | undefined
  score: number
  /** How much is done there: waited for, allocated, stored, verified. */
  progress: number
}

/** The root's order of the nodes, best first. */
export function rankPlaces(
  { nodes, replicas, root }: { nodes: readonly StorageNode[]; replicas: readonly PlacedReplica[]; root: string },
  rules: PlacementRules,
): Place[] {
  const replicaOf = new Map(replicas.map((replica) => [replica.nodeId, replica]))
  return nodes
    .map((node) => {
      const replica = replicaOf.get(node.id)
      const score = rendezvousScore(root, node.id, node.capacityBytes * preference(rules, node))
      return { node, replica, score, progress: progressOf(replica) }
    })
    .sort((a, b) => b.score - a.score || a.node.id - b.node.id)
}

function progressOf(replica: PlacedReplica | undefined): number {
  if (replica?.state === 'verified') return 3
  if (replica?.state === 'stored') return 2
  return replica?.state === 'allocated' ? 1 : 0
}

/** Whether the replica stands for a copy that is there or on its way. */
export function isPlaced(replica: PlacedReplica | undefined): boolean {
  return replica?.state === 'allocated' || replica?.state === 'stored' || replica?.state === 'verified'
}

/** Whether the replica counts as one of the copies: held, or on its way on a node that can take it. */
export function stands({ node, replica }: Place, rules: PlacementRules, sizeBytes = 0): boolean {
  if (replica === undefined || !isPlaced(replica)) return false
  if (node.liveness === 'down' || node.state !== 'active' || isForbidden(rules, node)) return false
  if (replica.state !== 'allocated') return true
  return node.refusal === null && sizeBytes <= node.freeBytes && replica.attempts < PATIENCE
}

export type Unusable = 'silent' | 'leaving' | 'forbidden' | 'refusing' | 'full' | 'declined'

/** Why no new copy may go to a node; undefined when one may. */
export function whyUnusable(
  { node, replica }: Pick<Place, 'node' | 'replica'>,
  rules: PlacementRules,
  sizeBytes = 0,
): Unusable | undefined {
  if (node.state !== 'active') return 'leaving'
  if (node.liveness !== 'up') return 'silent'
  if (isForbidden(rules, node)) return 'forbidden'
  if (replica?.state === 'failed') return 'declined'
  if (node.refusal !== null) return 'refusing'
  const left = node.freeBytes - sizeBytes
  const least = leastFree(node.capacityBytes)
  return node.freeBytes < least || left < least / 2 || node.capacityBytes <= 0 ? 'full' : undefined
}

/**
 * The order of places that no rule demands: where a copy may be still (it was lost or is being removed) comes first, where
 * it failed before comes last, and a value of a `distinct` label that no copy has comes before a repeated one.
 */
export function likelihood({ replica, score }: Place, newValues: number): number[] {
  const mayHold = replica?.state === 'lost' || replica?.state === 'releasing'
  return [mayHold ? 1 : 0, replica?.state === 'allocated' ? 0 : 1, newValues, score]
}
