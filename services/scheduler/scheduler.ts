import { randomUUID } from 'node:crypto'
import type { Database } from '../catalog/database.ts'
import { expireLeases, lead, resign, type Lead } from '../catalog/leases.ts'
import type { Wakes } from '../catalog/wake.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'
import { Bell } from './bell.ts'
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

/** Leases that one pass takes back. */
const EXPIRY_SLICE = 500

/**
 * Runs the control loops until the signal is aborted, and resolves when the last pass has ended. Any number of processes may
 * run them: reconciling is shared, detector and sweeper are held by one at a time.
 */
export async function startScheduler(options: SchedulerOptions): Promise<void> {
  const settings = { ...DEFAULT_SCHEDULER_SETTINGS, ...options.settings }
  const holder = randomUUID()
  await Promise.all([
    runReconciler(options, settings),
    runDetector(options, settings, holder),
    runSweeper(options, settings, holder),
  ])
}

async function runReconciler({ db, wakes, log, signal }: SchedulerOptions, settings: SchedulerSettings): Promise<void> {
  const bell = new Bell()
  const stop = wakes.on('reconcile', bell.ring)
  const pass = async (): Promise<boolean> => {
    await bell.wait(settings.lookMs, signal)
    for (let isFull = true; isFull && !signal.aborted;) {
      const outcome = await reconcile(db, settings)
      isFull = outcome.isFull
      for (const nodeId of outcome.wake) wakes.announce('node', String(nodeId))
      for (const tenantId of new Set(outcome.settled.map((pin) => pin.tenantId)))
        wakes.announce('pins', String(tenantId))
      if (outcome.taken > 0) log.debug({ taken: outcome.taken, settled: outcome.settled.length }, 'reconciled')
    }
    return true
  }
  await loop('reconcile', pass, { everyMs: settings.lookMs, log, signal })
  stop()
}

async function runDetector(options: SchedulerOptions, settings: SchedulerSettings, holder: string): Promise<void> {
  const { db, wakes, log } = options
  await whileLeading('detector', options, { settings, holder }, async ({ heldMs }) => {
    const { hasChanged, lost } = await detect(db, { limits: settings.liveness, heardMs: heldMs, log })
    if (hasChanged) wakes.announce('directory')
    if (lost > 0) wakes.announce('reconcile')
    return false
  })
}

async function runSweeper(options: SchedulerOptions, settings: SchedulerSettings, holder: string): Promise<void> {
  const { db, wakes } = options
  const sweep = new Sweep()
  const drains = new DrainSweep()
  await whileLeading('sweeper', options, { settings, holder }, async (held) => {
    await expireLeases(db, EXPIRY_SLICE)
    await sweepIdle(db, settings.graceMs)
    await drains.pass(db)
    const isHurried = await sweep.pass(db, held, { role: 'sweeper', everyMs: settings.sweepMs })
    wakes.announce('reconcile')
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
