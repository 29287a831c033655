import { randomUUID } from 'node:crypto'
import type { Database } from '../catalog/database.ts'
import { expireLeases, lead, resign, type Lead } from '../catalog/leases.ts'
import { movePinsToPolicies } from '../catalog/policies-move.ts'
import { expirePins, releaseReplaced } from '../catalog/pins-remove.ts'
import { EVENTS, POLICIES, RECONCILE, type Wakes } from '../catalog/wake.ts'
import type { Log } from '../runtime/log.ts'
import { loop, pause } from '../runtime/loop.ts'
import { Bell } from '../runtime/bell.ts'
import { DIRECTORY, NODE, PINS } from './channels.ts'
import { detect } from './detect.ts'
import { reconcile } from './reconcile.ts'
import { DEFAULT_SCHEDULER_SETTINGS, type SchedulerSettings } from './settings.ts'
import { DrainSweep, Sweep, sweepIdle } from './sweep.ts'

export interface SchedulerOptions {
  db: Database
  wakes: Wakes
  log: Log
  settings?: Partial<SchedulerSettings>
  signal: AbortSignal
}

/** Leases, or pins, that one statement looks after. */
const SLICE = 500

/**
 * Runs the control loops until the signal is aborted, and resolves when the last pass has ended. Any number of processes may
 * run them: reconciling is shared, detector and sweeper are held by one at a time.
 */
export async function startScheduler(options: SchedulerOptions): Promise<void> {
  const settings = { ...DEFAULT_SCHEDULER_SETTINGS, ...options.settings }
  const holder = randomUUID()
  await Promise.all([
    runReconciler(options, settings),
    runPolicyMoves(options, settings),
    runDetector(options, settings, holder),
    runSweeper(options, settings, holder),
  ])
}

async function runReconciler({ db, wakes, log, signal }: SchedulerOptions, settings: SchedulerSettings): Promise<void> {
  const bell = new Bell()
  const stop = wakes.on(RECONCILE, bell.ring)
  let waitMs = settings.lookMs
  let lastAt = Number.NEGATIVE_INFINITY
  const pass = async (): Promise<boolean> => {
    await bell.wait(waitMs, signal)
    await pause(Math.max(0, lastAt + settings.gatherMs - performance.now()), signal)
    lastAt = performance.now()
    waitMs = settings.lookMs
    for (let isFull = true; isFull && !signal.aborted;) {
      const outcome = await reconcile(db, settings)
      isFull = outcome.isFull
      waitMs = Math.min(waitMs, outcome.againMs ?? waitMs)
      for (const nodeId of outcome.wake) wakes.announce(NODE, String(nodeId))
      for (const tenantId of new Set(outcome.settled.map((pin) => pin.tenantId))) wakes.announce(PINS, String(tenantId))
      if (outcome.settled.length > 0) wakes.announce(EVENTS)
      for (const { contentId, error } of outcome.failed)
        log.error({ err: error, contentId }, 'a root could not be decided, and comes again in half a minute')
      if (outcome.taken > 0) log.debug({ taken: outcome.taken, settled: outcome.settled.length }, 'reconciled')
    }
    return true
  }
  await loop('reconcile', pass, { everyMs: settings.lookMs, log, signal })
  stop()
}

/** Lets pins follow policies that were saved since. */
async function runPolicyMoves(
  { db, wakes, log, signal }: SchedulerOptions,
  settings: SchedulerSettings,
): Promise<void> {
  const bell = new Bell()
  const stop = wakes.on(POLICIES, bell.ring)
  const pass = async (): Promise<boolean> => {
    await bell.wait(settings.lookMs, signal)
    while (!signal.aborted && (await movePinsToPolicies(db, SLICE))) wakes.announce(RECONCILE)
    return true
  }
  await loop('policies', pass, { everyMs: settings.lookMs, log, signal })
  stop()
}

async function runDetector(options: SchedulerOptions, settings: SchedulerSettings, holder: string): Promise<void> {
  const { db, wakes, log } = options
  await whileLeading('detector', options, { settings, holder }, async ({ heldMs }) => {
    const { hasChanged, lost } = await detect(db, { limits: settings.liveness, heardMs: heldMs, log })
    if (hasChanged) wakes.announce(DIRECTORY)
    if (lost > 0) wakes.announce(RECONCILE)
    return false
  })
}

async function runSweeper(options: SchedulerOptions, settings: SchedulerSettings, holder: string): Promise<void> {
  const { db, wakes } = options
  const sweep = new Sweep()
  const drains = new DrainSweep()
  await whileLeading('sweeper', options, { settings, holder }, async (held) => {
    await expireLeases(db, SLICE)
    await expirePins(db, SLICE)
    await releaseReplaced(db, SLICE)
    await sweepIdle(db, settings.graceMs)
    await drains.pass(db)
    const isHurried = await sweep.pass(db, held, { role: 'sweeper', everyMs: settings.sweepMs })
    wakes.announce(RECONCILE)
    return isHurried
  })
}

/** Repeats a pass for as long as this process holds the role, and gives the role up at the end. */
async function whileLeading(
  role: string,
  { db, log, signal }: SchedulerOptions,
  { settings, holder }: { settings: SchedulerSettings; holder: string },
  pass: (held: Lead) => Promise<boolean>,
): Promise<void> {
  const step = async (): Promise<boolean> => {
    const held = await lead(db, role, holder, settings.leadMs)
    return held === undefined ? false : await pass(held)
  }
  await loop(role, step, { everyMs: settings.passMs, log, signal })
  await resign(db, role, holder).catch((error: unknown) => log.debug({ err: error, role }, 'the role ends by itself'))
}
