import type { ClusterNode } from '../catalog/nodes.ts'

type BrakeNode = Pick<ClusterNode, 'state' | 'liveness' | 'isLost' | 'labels'>

/** Above this share of a cluster that falls silent at once, our own network is the likelier cause. */
const MAX_SHARE = 0.25
/** A cluster smaller than this heals up to half of its nodes: one of three must heal. */
const SMALL = 4
const MAX_SMALL_SHARE = 0.5

/**
 * Whether so many nodes died at once that not everything of theirs shall be copied: more than a quarter (of three, more than
 * half), or all of a region with several nodes while others live. Nodes whose copies were given up already, and those that
 * an operator drains, do not count.
 */
export function isMassFailure(nodes: readonly BrakeNode[]): boolean {
  const counted = nodes.filter(({ state, isLost }) => state === 'active' && !isLost)
  const down = counted.filter(({ liveness }) => liveness === 'down')
  if (down.length === 0) return false
  const share = counted.length < SMALL ? MAX_SMALL_SHARE : MAX_SHARE
  return down.length > counted.length * share || isWholeRegion(counted, down)
}

function isWholeRegion(counted: readonly BrakeNode[], down: readonly BrakeNode[]): boolean {
  const regions = Map.groupBy(counted, ({ labels }) => labels['region'])
  const dead = Map.groupBy(down, ({ labels }) => labels['region'])
  if (regions.size < 2) return false
  return [...dead].some(([region, nodes]) => nodes.length > 1 && nodes.length === regions.get(region)?.length)
}
