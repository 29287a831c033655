import type { ContentCase, ReplicaCase } from '../catalog/reconcile-contents.ts'
import type { Appointment, Decision, StatusRule } from '../catalog/reconcile-write.ts'
import { countsTowards } from '../core/counted-copies.ts'
import type { StorageNode } from '../core/node.ts'
import { derivePinStatus } from '../core/pin.ts'
import { mergePolicies } from '../core/placement-rules.ts'
import { plan, type Placement } from '../core/placement.ts'
import { LEAST_VERIFY_MS } from '../core/policy.ts'
import { SOURCE_STATES } from '../core/replica.ts'
import { DAY_MS, parseDurationMs } from '../core/units.ts'

export interface DecideSettings {
  /** How long content that no pin wants is kept. */
  graceMs: number
  /** Pause before the second try of a node; doubled by each further one. */
  retryMs: number
  maxRetryMs: number
}

/** Content that was never held anywhere is given up after so many tries of all nodes together. */
const MAX_ATTEMPTS = 6
/** How often copies are read back when no policy says. */
const VERIFY_EVERY_MS = 30 * DAY_MS
/** However long a silent node is waited for, what it held is looked at this often. */
const LONGEST_AGAIN_MS = DAY_MS

export type Verdict = Decision & {
  /** Look again after this long, although nothing may have happened. */
  againMs: number | undefined
}

export interface Cluster {
  nodes: readonly StorageNode[]
  /** So many nodes are silent that only contents below their floor get new copies. */
  isBraked: boolean
}

/** Decides what becomes of one root. Pure: what it decides follows from what was read. */
export function decide(content: ContentCase, cluster: Cluster, settings: DecideSettings): Verdict {
  const { nodes } = cluster
  if (content.policies.length === 0) return decideUnwanted(content, settings)
  const isHeld = content.replicas.some(({ state }) => state === 'lost' || SOURCE_STATES.includes(state))
  if (content.isGivenUp && !isHeld) return abandon(content, nodes, undefined)
  const failure = isHeld || content.isGivenUp ? undefined : reasonToGiveUp(content.replicas)
  if (failure !== undefined) return abandon(content, nodes, failure)
  return decideWanted(content, cluster, settings)
}

function nothing({ contentId }: ContentCase): Verdict {
  return {
    contentId,
    allocate: [],
    schedule: [],
    recheck: [],
    release: [],
    forget: [],
    givenUp: undefined,
    isOver: false,
    statuses: [],
    againMs: undefined,
  }
}

/** Within the grace time nobody works on it; after it, every copy goes, and then the content itself. */
function decideUnwanted(content: ContentCase, { graceMs }: DecideSettings): Verdict {
  const isDue = content.idleMs !== undefined && content.idleMs >= graceMs
  if (!isDue) return { ...nothing(content), schedule: parkAll(content.replicas) }
  const untouched = content.replicas.filter(isUntouched).map(({ nodeId }) => nodeId)
  const { release } = plan({ policies: [], nodes: [], replicas: content.replicas, root: content.root })
  return {
    ...nothing(content),
    forget: untouched,
    release: release.filter((nodeId) => !untouched.includes(nodeId)),
    isOver: untouched.length === content.replicas.length,
  }
}

/** Rows for which no node has to do anything. What a node that is gone still holds, its inventory tells when it is back. */
function isUntouched({ state, isLeased, attempts, doneBytes }: ReplicaCase): boolean {
  if (state === 'lost' || state === 'failed') return true
  return state === 'allocated' && !isLeased && attempts === 0 && doneBytes === 0
}

function parkAll(replicas: readonly ReplicaCase[]): Appointment[] {
  return replicas
    .filter(({ state, isParked, isLeased }) => (state === 'allocated' || state === 'stored') && !isParked && !isLeased)
    .map(({ nodeId, prio }) => ({ nodeId, prio, dueInMs: null }))
}

function reasonToGiveUp(replicas: readonly ReplicaCase[]): Decision['givenUp'] {
  const refused = replicas.find(({ state }) => state === 'failed')
  if (refused !== undefined) return errorOf(refused)
  const attempts = replicas.reduce((sum, replica) => sum + replica.attempts, 0)
  if (attempts < MAX_ATTEMPTS || replicas.some(({ isLeased }) => isLeased)) return undefined
  return errorOf(replicas.find(({ error }) => error !== null))
}

function errorOf(replica: ReplicaCase | undefined): { code: string; message: string } {
  const { errorCode, error } = replica ?? {}
  return { code: errorCode ?? 'NOT_FOUND', message: error ?? 'No node could get the content from anywhere.' }
}

/** No copy will come: nobody tries any more, and its pins fail. */
function abandon(content: ContentCase, nodes: readonly StorageNode[], givenUp: Decision['givenUp']): Verdict {
  const statuses = content.policies.map((entry) => statusRule(content, nodes, entry, true))
  return { ...nothing(content), schedule: parkAll(content.replicas), givenUp, statuses }
}

function decideWanted(content: ContentCase, { nodes, isBraked }: Cluster, settings: DecideSettings): Verdict {
  const restarts = content.isGivenUp
  const replicas = restarts
    ? content.replicas.filter(({ state }) => state !== 'failed').map((replica) => ({ ...replica, attempts: 0 }))
    : content.replicas
  const policies = content.policies.map(({ policy }) => policy)
  const placement = plan({
    policies,
    nodes,
    replicas,
    root: content.root,
    ...(content.bytes !== undefined && { sizeBytes: content.bytes }),
  })
  const live = liveCopies(replicas, nodes)
  const { floor } = mergePolicies(policies)
  const prio = urgency(live.length, replicas, floor)
  const allocate = isBraked && live.length >= floor ? [] : placement.allocate
  const seeker = live.length > 0 ? undefined : chooseSeeker(replicas, placement)
  const turn = (nodeId: number): boolean => placement.keep.includes(nodeId) && (live.length > 0 || nodeId === seeker)
  return {
    ...nothing(content),
    allocate: allocate.map((nodeId) => ({ nodeId, prio, dueInMs: turn(nodeId) ? 0 : null })),
    schedule: reschedule(replicas, placement, { prio, turn, settings }),
    recheck: overdue(replicas, nodes, content),
    release: placement.release,
    forget: restarts ? content.replicas.filter(({ state }) => state === 'failed').map(({ nodeId }) => nodeId) : [],
    givenUp: restarts ? null : undefined,
    statuses: content.policies.map((entry) => statusRule(content, nodes, entry, false)),
    againMs: placement.againAfterMs && Math.min(placement.againAfterMs, LONGEST_AGAIN_MS),
  }
}

/** Copies that others can be made from. */
function liveCopies(replicas: readonly ReplicaCase[], nodes: readonly StorageNode[]): ReplicaCase[] {
  const alive = new Set(nodes.filter(({ liveness }) => liveness !== 'down').map(({ id }) => id))
  return replicas.filter(({ nodeId, state }) => SOURCE_STATES.includes(state) && alive.has(nodeId))
}

/** The column `replica.prio` of copies that are to be made. */
function urgency(live: number, replicas: readonly ReplicaCase[], floor: number): number {
  const hadMore = replicas.some(({ state }) => state === 'lost')
  if (live === 0) return hadMore ? 1 : 6
  if (live === 1 && hadMore) return 0
  return live < floor ? 2 : 3
}

/**
 * What nobody holds is looked for by one node at a time: one that is at it already, else the one that has tried least, and
 * among those one that may have it still.
 */
function chooseSeeker(replicas: readonly ReplicaCase[], { keep, allocate }: Placement): number | undefined {
  const rowOf = new Map(replicas.map((replica) => [replica.nodeId, replica]))
  if (replicas.some(({ state, isLeased }) => state === 'allocated' && isLeased)) return undefined
  const key = (nodeId: number): [number, number, number] => {
    const row = rowOf.get(nodeId)
    const isNew = allocate.includes(nodeId)
    const mayHold = row?.state === 'lost' || row?.state === 'releasing' || (row?.doneBytes ?? 0) > 0
    return [isNew ? 0 : (row?.attempts ?? 0), mayHold ? 0 : 1, !isNew && row?.isParked === false ? 0 : 1]
  }
  return [...keep].sort((a, b) => compare(key(a), key(b)))[0]
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index])
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}

function reschedule(
  replicas: readonly ReplicaCase[],
  placement: Placement,
  { prio, turn, settings }: { prio: number; turn: (nodeId: number) => boolean; settings: DecideSettings },
): Appointment[] {
  return replicas.flatMap((replica): Appointment[] => {
    const { nodeId, state, isLeased, isParked } = replica
    if (isLeased || (state !== 'allocated' && state !== 'stored')) return []
    const isDue = state === 'stored' ? placement.keep.includes(nodeId) : turn(nodeId)
    if (isDue && isParked) return [{ nodeId, prio, dueInMs: pauseMs(replica.attempts, settings) }]
    if (!isDue && !isParked) return [{ nodeId, prio, dueInMs: null }]
    return []
  })
}

function pauseMs(attempts: number, { retryMs, maxRetryMs }: DecideSettings): number {
  return attempts === 0 ? 0 : Math.min(maxRetryMs, retryMs * 2 ** (attempts - 1))
}

/** Verified copies whose verification is older than the policies allow. */
function overdue(replicas: readonly ReplicaCase[], nodes: readonly StorageNode[], content: ContentCase): Appointment[] {
  const wanted = content.policies.map(({ policy }) => parseDurationMs(policy.verify?.every ?? '') ?? VERIFY_EVERY_MS)
  const everyMs = Math.max(LEAST_VERIFY_MS, Math.min(...wanted))
  const up = new Set(nodes.filter(({ liveness }) => liveness === 'up').map(({ id }) => id))
  return replicas
    .filter(({ nodeId, state, isLeased, isRechecked, verifiedAgoMs }) => {
      if (state !== 'verified' || isLeased || isRechecked || !up.has(nodeId)) return false
      return (verifiedAgoMs ?? 0) >= everyMs
    })
    .map(({ nodeId }) => ({ nodeId, prio: 4, dueInMs: 0 }))
}

/**
 * What the copies prove for pins of one policy. For a pin to become pinned its copies must have been seen in their node's
 * present session; one that is pinned stays so while they are not known to be gone, so that a restart changes no status.
 */
function statusRule(
  content: ContentCase,
  nodes: readonly StorageNode[],
  { policyId, policy }: ContentCase['policies'][number],
  givenUp: boolean,
): StatusRule {
  const liveness = new Map(nodes.map((node) => [node.id, node.liveness]))
  const verified = content.replicas.filter(({ state }) => state === 'verified')
  const present = verified.filter(({ nodeId }) => liveness.get(nodeId) !== 'down')
  const attested = verified.filter(({ nodeId, isAttested }) => isAttested && liveness.get(nodeId) === 'up')
  const copiesMin = policy.copies.min
  const states = content.replicas.map(({ state }) => state)
  const begun = content.replicas.some(
    ({ state, isLeased, attempts, doneBytes }) =>
      isLeased || attempts > 0 || doneBytes > 0 || SOURCE_STATES.includes(state),
  )
  return {
    policyId,
    evidenceAt: evidenceAt(policy, attested, nodes),
    keeps: countsTowards(policy, present, nodes) >= copiesMin,
    otherwise: derivePinStatus({ copiesMin, verified: 0, states, begun, givenUp }),
  }
}

/** The latest time since which enough copies were verified; null when there are not enough. */
function evidenceAt(
  policy: ContentCase['policies'][number]['policy'],
  verified: readonly ReplicaCase[],
  nodes: readonly StorageNode[],
): string | null {
  const newestFirst = verified
    .filter(({ verifiedAt }) => verifiedAt !== null)
    .sort((a, b) => (b.verifiedAt ?? '').localeCompare(a.verifiedAt ?? ''))
  for (let count = policy.copies.min; count <= newestFirst.length; count++) {
    const newest = newestFirst.slice(0, count)
    if (countsTowards(policy, newest, nodes) >= policy.copies.min) return newest.at(-1)?.verifiedAt ?? null
  }
  return null
}
