import type { ClusterNode } from '../catalog/nodes.ts'

type BrakeNode = Pick<ClusterNode, 'state' | 'liveness' | 'isLost' | 'labels'>

/** Above this share of a cluster that falls silent at once, our own network is the likelier cause. */
const MAX_SHARE = 0.25
/** A cluster smaller than this heals up to half of its nodes: one of three must heal. */
const SMALL = 4
const MAX_SMALL_SHARE = 0.5

/**
 * Whether so many nodes fell silent at once that not everything of theirs shall be copied: more than a quarter (of three,
 * more than half), or all of a region with several nodes while others live. Suspect nodes count, because those that fail
 * together are not found dead together. Nodes whose copies were given up already, and those that an operator drains, do not.
 */
export function isMassFailure(nodes: readonly BrakeNode[]): boolean {
  const counted = nodes.filter(({ state, isLost }) => state === 'active' && !isLost)
  if (!counted.some(({ liveness }) => liveness === 'down')) return false
  const silent = counted.filter(({ liveness }) => liveness !== 'up')
  const share = counted.length < SMALL ? MAX_SMALL_SHARE : MAX_SHARE
  return silent.length > counted.length * share || isWholeRegion(counted, silent)
}

function isWholeRegion(counted: readonly BrakeNode[], silent: readonly BrakeNode[]): boolean {
  const regions = Map.groupBy(counted, ({ labels }) => labels['region'])
  const dead = Map.groupBy(silent, ({ labels }) => labels['region'])
  if (regions.size < 2) return false
  return [...dead].some(([region, nodes]) => nodes.length > 1 && nodes.length === regions.get(region)?.length)
}
