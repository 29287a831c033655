import { best } from './lexicographic.ts'
import type { StorageNode } from './node.ts'
import { isPlaced, likelihood, rankPlaces, stands, whyUnusable, type Place } from './place.ts'
import { findProblems, type PlacementProblem } from './placement-problems.ts'
import {
  crowdedRules,
  isForbidden,
  mergePolicies,
  newValues,
  shortage,
  wouldCrowd,
  type PlacementRules,
} from './placement-rules.ts'
import type { Policy } from './policy.ts'
import type { PlacedReplica } from './replica.ts'

export interface PlacementInput {
  /** Policies of all pins of the root; none when nobody wants it. */
  policies: readonly Policy[]
  nodes: readonly StorageNode[]
  replicas: readonly PlacedReplica[]
  /** CIDv1, base32: it decides the order of the nodes. */
  root: string
  /** Of the whole DAG, when known. */
  sizeBytes?: number
}

export interface Placement {
  /** Ids of nodes that get a new allocation, the best first. */
  allocate: number[]
  /** Ids of nodes whose replica is to go now: enough verified copies remain without them. */
  release: number[]
  /** Ids of nodes that hold or will hold the copies which count; replicas elsewhere go as soon as these are verified. */
  keep: number[]
  /** What the policies ask and the cluster cannot give. */
  problems: PlacementProblem[]
  /** When set, the answer can differ after this long although nothing happens: a silent node has then been waited for. */
  againAfterMs?: number
}

/**
 * Decides where the copies of one root shall be. Pure, and settled: applied and asked again it answers nothing new.
 *
 * Copies that exist stay where they are while the rules allow it. Missing ones go to the nodes that the root's rendezvous
 * order prefers, those first that a rule depends on. Copies are added before others are removed: nothing is released until
 * all that count are verified and satisfy every rule. What cannot be satisfied is reported, and the possible is done.
 */
export function plan(input: PlacementInput): Placement {
  const { policies, replicas } = input
  if (policies.length === 0) return { allocate: [], release: presentNodes(replicas), keep: [], problems: [] }
  const rules = mergePolicies(policies)
  const places = rankPlaces(input, rules)
  const standing = places.filter((place) => stands(place, rules, input.sizeBytes))
  const waited = waitedFor(places, standing, rules)
  const kept = trim([...standing, ...waited], rules)
  const chosen = grow(kept, places, rules, input.sizeBytes)
  const ids = new Set(chosen.map(({ node }) => node.id))
  const agains = waited.map(({ node }) => rules.healAfterMs - node.silentMs)
  return {
    allocate: chosen
      .filter(({ replica, progress }) => progress !== WAITED && !isPlaced(replica))
      .map(({ node }) => node.id),
    release: isWhole(chosen, rules) ? places.filter((place) => isSurplus(place, ids)).map(({ node }) => node.id) : [],
    keep: [...ids],
    problems: findProblems(places, chosen, rules, input.sizeBytes),
    ...(agains.length > 0 && { againAfterMs: Math.min(...agains) }),
  }
}

function presentNodes(replicas: readonly PlacedReplica[]): number[] {
  return replicas.filter(({ state }) => state !== 'releasing').map(({ nodeId }) => nodeId)
}

/** Progress of a copy that is waited for: less than that of one on its way. */
const WAITED = 0.5

/** Copies on silent nodes that the policies wait for, while the live ones are enough for safety. */
function waitedFor(places: readonly Place[], standing: readonly Place[], rules: PlacementRules): Place[] {
  if (standing.filter(({ progress }) => progress >= 2).length < rules.floor) return []
  return places
    .filter(({ node, replica }) => {
      if (node.liveness !== 'down' || node.state !== 'active' || isForbidden(rules, node)) return false
      const held = replica?.state === 'lost' || replica?.state === 'stored' || replica?.state === 'verified'
      return held && node.silentMs < rules.healAfterMs
    })
    .map((place) => ({ ...place, progress: WAITED }))
}

/** Leaves out copies that crowd a place, then those above the target whose absence no rule notices. */
function trim(copies: readonly Place[], rules: PlacementRules): Place[] {
  let kept = [...copies]
  for (;;) {
    const crowded = kept.filter(({ node }) => crowdedRules(rules, node, nodesOf(kept)) > 0)
    if (crowded.length === 0) break
    kept = without(kept, leastNeeded(crowded, kept, rules))
  }
  while (kept.length > rules.target) {
    const before = shortage(rules, nodesOf(kept))
    const spare = kept.filter((place) => shortage(rules, nodesOf(without(kept, place))) <= before)
    if (spare.length === 0) break
    kept = without(kept, leastNeeded(spare, kept, rules))
  }
  return kept
}

/** The copy to do without: the one no rule needs, that stands in the way of most, that lies where others do, and of which least exists. */
function leastNeeded(from: readonly Place[], kept: readonly Place[], rules: PlacementRules): Place {
  return best(from, (place) => [
    -shortage(rules, nodesOf(without(kept, place))),
    crowdedRules(rules, place.node, nodesOf(kept)),
    -newValues(rules, place.node, nodesOf(without(kept, place))),
    -place.progress,
    place.node.liveness === 'up' ? 0 : 1,
    -place.score,
  ])
}

/** Adds places until every rule and the target are met, or nothing helps any more. */
function grow(
  kept: readonly Place[],
  places: readonly Place[],
  rules: PlacementRules,
  sizeBytes: number | undefined,
): Place[] {
  let chosen = [...kept]
  const usable = places.filter((place) => whyUnusable(place, rules, sizeBytes) === undefined)
  for (;;) {
    const missing = shortage(rules, nodesOf(chosen))
    if (missing === 0 && chosen.length >= rules.target) return chosen
    const free = usable.filter(({ node }) => !chosen.some((place) => place.node.id === node.id))
    const fitting = free.filter(({ node }) => !wouldCrowd(rules, node, nodesOf(chosen)))
    const grown =
      (missing > 0 && withHelpful(chosen, fitting, missing, rules)) ||
      (missing > 0 && exchangeOne(chosen, free, missing, rules)) ||
      (chosen.length < rules.target && withBest(chosen, fitting, rules)) ||
      (chosen.length < rules.target && exchangeForTwo(chosen, free, rules))
    if (!grown) return chosen
    chosen = grown
  }
}

/** The place that most helps a rule in need; among equals one whose help is scarcest. */
function withHelpful(
  chosen: readonly Place[],
  fitting: readonly Place[],
  missing: number,
  rules: PlacementRules,
): Place[] | undefined {
  const helpful = fitting.filter(({ node }) => shortage(rules, [...nodesOf(chosen), node]) < missing)
  if (helpful.length === 0) return undefined
  const scarcity = (place: Place): number =>
    Math.max(
      ...rules.require
        .filter((rule) => rule.in.includes(place.node.labels[rule.require] ?? ''))
        .map((rule) => 1 / helpful.filter(({ node }) => rule.in.includes(node.labels[rule.require] ?? '')).length),
      0,
    )
  const picked = best(helpful, (place) => [
    missing - shortage(rules, [...nodesOf(chosen), place.node]),
    scarcity(place),
    ...likelihood(place, newValues(rules, place.node, nodesOf(chosen))),
  ])
  return [...chosen, picked]
}

/** Takes a place that a rule needs instead of one that only stands in its way. */
function exchangeOne(
  chosen: readonly Place[],
  free: readonly Place[],
  missing: number,
  rules: PlacementRules,
): Place[] | undefined {
  for (const candidate of free) {
    const options = chosen.filter((out) => {
      const rest = nodesOf(without(chosen, out))
      return !wouldCrowd(rules, candidate.node, rest) && shortage(rules, [...rest, candidate.node]) < missing
    })
    if (options.length > 0) return [...without(chosen, leastNeeded(options, chosen, rules)), candidate]
  }
  return undefined
}

function withBest(chosen: readonly Place[], fitting: readonly Place[], rules: PlacementRules): Place[] | undefined {
  if (fitting.length === 0) return undefined
  const nodes = nodesOf(chosen)
  return [...chosen, best(fitting, (place) => likelihood(place, newValues(rules, place.node, nodes)))]
}

/** Gives up one place for two, where rules about several labels lock each other. */
function exchangeForTwo(chosen: readonly Place[], free: readonly Place[], rules: PlacementRules): Place[] | undefined {
  if (new Set(rules.max.map(({ spread }) => spread)).size < 2) return undefined
  const missing = shortage(rules, nodesOf(chosen))
  for (const out of [...chosen].sort((a, b) => a.progress - b.progress || a.score - b.score)) {
    const rest = without(chosen, out)
    for (const first of free) {
      if (wouldCrowd(rules, first.node, nodesOf(rest))) continue
      const second = free.find((place) => place !== first && !wouldCrowd(rules, place.node, nodesOf([...rest, first])))
      if (second === undefined) continue
      const next = [...rest, first, second]
      if (shortage(rules, nodesOf(next)) <= missing) return next
    }
  }
  return undefined
}

function isWhole(chosen: readonly Place[], rules: PlacementRules): boolean {
  if (chosen.length < rules.target || shortage(rules, nodesOf(chosen)) > 0) return false
  return chosen.every(({ node, replica }) => replica?.state === 'verified' && node.liveness === 'up')
}

/** Lost copies wait for their node's inventory, and a refusal is remembered: neither is surplus. */
function isSurplus({ node, replica }: Place, keep: ReadonlySet<number>): boolean {
  return isPlaced(replica) && !keep.has(node.id) && node.liveness !== 'down'
}

function nodesOf(places: readonly Place[]): StorageNode[] {
  return places.map(({ node }) => node)
}

function without(places: readonly Place[], out: Place): Place[] {
  return places.filter((place) => place !== out)
}
