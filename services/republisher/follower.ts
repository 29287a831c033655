import type { Database } from '../catalog/database.ts'
import { hastenFollows, noteFollowProblem, takeDueFollows, type DueFollow } from '../catalog/follows-due.ts'
import { releaseVersions } from '../catalog/follows-release.ts'
import { seeVersion } from '../catalog/follows-versions.ts'
import { gatewaysUp } from '../catalog/names-sought.ts'
import { EVENTS, RECONCILE, type Wakes } from '../catalog/wake.ts'
import { hasCode, type HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'
import { findTarget, type DomainLinks } from './find-target.ts'

export interface FollowerOptions {
  db: Database
  wakes: Wakes
  links: DomainLinks
  log: Log
  /** How often names that are due, and versions that may go, are looked for. */
  everyMs?: number
  signal: AbortSignal
}

const EVERY_MS = 5 * SECOND_MS
/** Names that were published here: what they lead to is mostly known here, too. */
const SLICE = 8
/** Other names that are resolved at once. Most time passes in nodes, each of which walks the DHT for 64 names at once. */
const AT_ONCE = 32
/** A node resolves by all that it has; a second one is asked in case the first is behind. */
const NODES_ASKED = 2
const SETTLED_AT_ONCE = 100

/**
 * Keeps what followed names lead to pinned, and releases what they led to before, until the signal is aborted; resolves
 * when the last pass has ended. Any number of processes may do it: each name is done by one.
 */
export async function startFollower(options: FollowerOptions): Promise<void> {
  const { db, wakes, log, signal, everyMs = EVERY_MS } = options
  let seenUpTo = '0'
  const followPublished = async (): Promise<boolean> => {
    seenUpTo = await hastenFollows(db, seenUpTo)
    return await followSlice(options)
  }
  const underWay = new Set<Promise<void>>()
  const release = async (): Promise<boolean> => {
    const { looked, released } = await releaseVersions(db, { limit: SETTLED_AT_ONCE, pauseMs: everyMs })
    if (released > 0) wakes.announce(RECONCILE)
    if (released > 0) log.debug({ released }, 'pins of older versions are released')
    return looked === SETTLED_AT_ONCE
  }
  await Promise.all([
    loop('published-names', followPublished, { everyMs, log, signal }),
    loop('followed-names', () => followMore(underWay, options), { everyMs, log, signal }),
    loop('older-versions', release, { everyMs, log, signal }),
  ])
  await Promise.all(underWay)
}

/** Follows names that were published here: none waits for a name that is slow to find. Answers whether there may be more. */
async function followSlice(options: FollowerOptions): Promise<boolean> {
  const due = await takeDueFollows(options.db, { limit: SLICE, hastenedOnly: true })
  if (due.length === 0) return false
  const gateways = await someGateways(options.db)
  await Promise.all(due.map((follow) => followOne(follow, gateways, options)))
  return due.length === SLICE
}

/** Begins with as many names as there is room for. Answers, once there is room again, whether there may be more. */
async function followMore(underWay: Set<Promise<void>>, options: FollowerOptions): Promise<boolean> {
  const limit = AT_ONCE - underWay.size
  const due = await takeDueFollows(options.db, { limit, hastenedOnly: false })
  if (due.length === 0) return false
  const gateways = await someGateways(options.db)
  for (const follow of due) {
    const one = followOne(follow, gateways, options).finally(() => underWay.delete(one))
    underWay.add(one)
  }
  if (due.length < limit) return false
  await Promise.race(underWay)
  return true
}

async function someGateways(db: Database): Promise<string[]> {
  return (await gatewaysUp(db)).slice(0, NODES_ASKED)
}

/** Never fails: what it cannot do now comes again after its time. */
async function followOne(follow: DueFollow, gateways: readonly string[], options: FollowerOptions): Promise<void> {
  const { db, wakes, links, log, signal } = options
  const { tenantId, name } = follow
  try {
    const found = await findTarget(db, follow, { gateways, links, signal })
    const isPinned = await seeVersion(db, follow, found)
    if (follow.target !== found.target) wakes.announce(EVENTS)
    if (!isPinned) return
    wakes.announce(RECONCILE)
    log.info({ tenantId, name, target: found.target }, 'a followed name has a new version')
  } catch (error) {
    if (signal.aborted) return
    if (hasCode(error)) await noteProblem(follow, error, options)
    else log.warn({ err: error, tenantId, name }, 'a name could not be looked at')
  }
}

async function noteProblem(
  { id, tenantId, name }: DueFollow,
  error: HoldfastError,
  options: FollowerOptions,
): Promise<void> {
  const { db, wakes, log } = options
  try {
    if (await noteFollowProblem(db, id, error)) wakes.announce(EVENTS)
    log.debug({ err: error, tenantId, name }, 'a name could not be followed')
  } catch (cause) {
    log.warn({ err: cause, tenantId, name }, 'why a name could not be followed is not noted')
  }
}
