import type { Database } from '../catalog/database.ts'
import { hastenFollows, noteFollowProblem, takeDueFollows, type DueFollow } from '../catalog/follows-due.ts'
import { releaseVersions } from '../catalog/follows-release.ts'
import { seeVersion } from '../catalog/follows-versions.ts'
import { gatewaysUp } from '../catalog/names-sought.ts'
import { RECONCILE, type Wakes } from '../catalog/wake.ts'
import { hasCode } from '../core/errors.ts'
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
/** Names that are resolved at once. */
const SLICE = 8
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
  const follow = async (): Promise<boolean> => {
    seenUpTo = await hastenFollows(db, seenUpTo)
    return await followSlice(options)
  }
  const release = async (): Promise<boolean> => {
    const { looked, released } = await releaseVersions(db, { limit: SETTLED_AT_ONCE, pauseMs: everyMs })
    if (released > 0) wakes.announce(RECONCILE)
    if (released > 0) log.debug({ released }, 'pins of older versions are released')
    return looked === SETTLED_AT_ONCE
  }
  await Promise.all([
    loop('followed-names', follow, { everyMs, log, signal }),
    loop('older-versions', release, { everyMs, log, signal }),
  ])
}

/** Answers whether there may be more. */
async function followSlice(options: FollowerOptions): Promise<boolean> {
  const due = await takeDueFollows(options.db, SLICE)
  if (due.length === 0) return false
  const gateways = (await gatewaysUp(options.db)).slice(0, NODES_ASKED)
  await Promise.all(due.map((follow) => followOne(follow, gateways, options)))
  return due.length === SLICE
}

async function followOne(follow: DueFollow, gateways: readonly string[], options: FollowerOptions): Promise<void> {
  const { db, wakes, links, log, signal } = options
  const { id, tenantId, name } = follow
  try {
    const found = await findTarget(db, follow, { gateways, links, signal })
    if (!(await seeVersion(db, follow, found))) return
    wakes.announce(RECONCILE)
    log.info({ tenantId, name, target: found.target }, 'a followed name has a new version')
  } catch (error) {
    signal.throwIfAborted()
    if (!hasCode(error)) throw error
    await noteFollowProblem(db, id, error)
    log.debug({ err: error, tenantId, name }, 'a name could not be followed')
  }
}
