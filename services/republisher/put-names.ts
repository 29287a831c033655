import type { Database } from '../catalog/database.ts'
import {
  ensureTarget,
  followFeed,
  notePuts,
  takeDuePuts,
  type DuePut,
  type PutOutcome,
} from '../catalog/names-targets.ts'
import { hasCode } from '../core/errors.ts'
import { HOUR_MS } from '../core/units.ts'
import { parseIpnsName } from '../naming/ipns-name.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'
import type { PutTarget } from './put-target.ts'

export interface PutNamesOptions {
  db: Database
  log: Log
  /** How often names that are due are looked for. */
  everyMs: number
  /** How often a target is told a record that it took. @default as the target says, or 4 h */
  putEveryMs?: number
  signal: AbortSignal
}

const PUT_EVERY_MS = 4 * HOUR_MS
/** Records that one target is told at once. */
const SLICE = 16

/**
 * Tells a target the newest record of every name as soon as it is published, and the same bytes again until it ends. Each
 * target has a loop of its own: one that is dead or slow holds up itself alone.
 */
export async function putNames(target: PutTarget, options: PutNamesOptions): Promise<void> {
  const watch = new TargetWatch(target.id, options.log)
  let isKnown = false
  const pass = async (): Promise<boolean> => {
    if (!isKnown) await ensureTarget(options.db, target.id)
    isKnown = true
    return await putSlice(target, watch, options)
  }
  await loop(`put-names ${target.id}`, pass, options)
}

/** One slice. Answers whether there may be more; a target that took nothing is not tried again at once. */
async function putSlice(target: PutTarget, watch: TargetWatch, options: PutNamesOptions): Promise<boolean> {
  const { db, signal, putEveryMs = target.putEveryMs ?? PUT_EVERY_MS } = options
  const hasMore = await followFeed(db, target.id)
  const { taken, due } = await takeDuePuts(db, target.id, SLICE)
  const outcomes = await Promise.all(due.map((one) => putOne(target, one, signal)))
  await notePuts(db, target.id, outcomes, putEveryMs)
  const errors = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []))
  watch.see({ told: outcomes.length, errors })
  return hasMore || (taken === SLICE && errors.length < SLICE)
}

async function putOne(target: PutTarget, { name, record, version }: DuePut, signal: AbortSignal): Promise<PutOutcome> {
  try {
    const peers = await target.put(parseIpnsName(name), record, { signal })
    return { name, version, ...(peers === undefined ? {} : { peers }) }
  } catch (error) {
    signal.throwIfAborted()
    if (!hasCode(error)) throw error
    return { name, version, error: error.message }
  }
}

/** Says once that a target takes nothing, and once that it does again. */
class TargetWatch {
  readonly #target: string
  readonly #log: Log
  #isFailing = false

  constructor(target: string, log: Log) {
    this.#target = target
    this.#log = log
  }

  see({ told, errors }: { told: number; errors: readonly string[] }): void {
    if (told === 0 || this.#isFailing === (errors.length === told)) return
    this.#isFailing = errors.length === told
    const [error] = errors
    if (this.#isFailing) this.#log.warn({ target: this.#target, error }, 'a target takes no records; it is tried again')
    else this.#log.info({ target: this.#target }, 'a target takes records again')
  }
}
