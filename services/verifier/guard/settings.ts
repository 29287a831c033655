import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../core/units.ts'

export interface GuardSettings {
  /** Blocks below the newest one that are never taken for final, whatever providers say. */
  minDepth: number
  /** How often the newest block is asked for; undefined: once for each block, as often as they come. */
  pollMs: number | undefined
  /**
   * While something waits for it, what is final is asked for with the calls that are saved where a block has no logs by its
   * filter; on chains where none is saved, once in so many blocks.
   */
  finalityBlocks: number
  /** When no block has come for so long, all providers are asked, and the chain may be taken to have become shorter. */
  stuckMs: number
  /** All tokens are read again after so long: what changes without an event is found. */
  fullEveryMs: number
  /** How long what was read of a block that was reorganised away is kept. */
  orphanMs: number
  /** How often metadata that was not there is looked for. */
  contentMs: number
  /** How often pins are looked after: those that are lacking, too large, or not to be kept any more. */
  tendMs: number
  /** A process that dies is followed by another after so long. */
  leadMs: number
  /** After a contract could not be read. */
  retryMs: number
}

export const DEFAULT_GUARD_SETTINGS: GuardSettings = {
  minDepth: 64,
  pollMs: undefined,
  finalityBlocks: 16,
  stuckMs: 30 * SECOND_MS,
  fullEveryMs: HOUR_MS,
  orphanMs: DAY_MS,
  contentMs: 5 * SECOND_MS,
  tendMs: 30 * SECOND_MS,
  leadMs: 15 * SECOND_MS,
  retryMs: MINUTE_MS,
}
