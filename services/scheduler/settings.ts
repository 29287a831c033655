import { DEFAULT_LIVENESS, type LivenessLimits } from '../core/node.ts'
import { DAY_MS, GIB, HOUR_MS, MINUTE_MS, SECOND_MS } from '../core/units.ts'

export interface SchedulerSettings {
  liveness: LivenessLimits
  /** How long content that no pin wants is kept. */
  graceMs: number
  /** Time a node has to finish a piece of work or to show progress. */
  leaseMs: number
  /** Pause after a first failure; doubled by each further one up to `maxRetryMs`. */
  retryMs: number
  maxRetryMs: number
  /** How often nodes show all they hold, besides after each registration. */
  inventoryEveryMs: number
  /** The longest that an answer to a node is held back: its next beat comes with the next request. */
  maxWaitMs: number
  /** How often waiting looks by itself, in case a hint was lost. */
  lookMs: number
  /** Passes of the reconciler that hints ask for start at least so far apart: roots that come meanwhile share one. */
  gatherMs: number
  /** How often nodes are judged, and late leases, expired pins and idle contents looked for. */
  passMs: number
  /** How often the next contents of the slow sweep over everything are asked for. */
  sweepMs: number
  /** How long a singleton's role stays with a process that does not renew it. */
  leadMs: number
  /** Bytes of a pin of tenants without a limit. */
  defaultMaxBytes: number
}

export const DEFAULT_SCHEDULER_SETTINGS: SchedulerSettings = {
  liveness: DEFAULT_LIVENESS,
  graceMs: DAY_MS,
  leaseMs: MINUTE_MS,
  retryMs: 2 * SECOND_MS,
  maxRetryMs: HOUR_MS,
  inventoryEveryMs: DAY_MS,
  maxWaitMs: 5 * SECOND_MS,
  lookMs: SECOND_MS,
  gatherMs: 50,
  passMs: SECOND_MS,
  sweepMs: 10 * SECOND_MS,
  leadMs: 5 * SECOND_MS,
  defaultMaxBytes: 1_024 * GIB,
}
