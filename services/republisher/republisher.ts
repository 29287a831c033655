import type { Database } from '../catalog/database.ts'
import type { MasterKeys } from '../catalog/master-key.ts'
import { dueKeys, withDueKeys, type DueKey } from '../catalog/name-keys.ts'
import { postponeNames, resignNames, takeEndedNames, takeEndingNames } from '../catalog/names-resign.ts'
import { EVENTS, NAMES, type Wakes } from '../catalog/wake.ts'
import { hasCode } from '../core/errors.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { importSigningKey } from '../naming/signing-key.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'
import { putNames } from './put-names.ts'
import type { PutTarget } from './put-target.ts'
import { seek } from './seek.ts'
import { signAnew } from './sign-anew.ts'

/** Keeps the records of names alive: https://specs.ipfs.tech/ipns/ipns-record/#record-creation */

export interface RepublisherOptions {
  db: Database
  wakes: Wakes
  /** Undefined: no keys are kept here, and nothing is signed. */
  masters: MasterKeys | undefined
  /** Whom records are told, beside the nodes. */
  targets?: readonly PutTarget[]
  log: Log
  /** How often names that are due are looked for. */
  everyMs?: number
  /** How often nodes are asked for newer records of a name whose key is elsewhere. */
  seekMs?: number
  /** How often a target is told a record that it took. */
  putEveryMs?: number
  signal: AbortSignal
}

const EVERY_MS = 5 * SECOND_MS
const SEEK_MS = 5 * MINUTE_MS
/** Names that are signed in one transaction. Publishing waits for it, and nodes get them in one page. */
const SLICE = 100

/**
 * Signs hosted names anew, looks for newer records of others, warns when they end, and tells the world, until the signal
 * is aborted; resolves when the last pass has ended. Any number of processes may do it: each name is done by one.
 */
export async function startRepublisher(options: RepublisherOptions): Promise<void> {
  const { db, targets = [], log, signal, everyMs = EVERY_MS, putEveryMs } = options
  const putting = { db, log, signal, everyMs, ...(putEveryMs === undefined ? {} : { putEveryMs }) }
  await Promise.all([
    ...targets.map((target) => putNames(target, putting)),
    loop('republish', () => republish(options), { everyMs, log, signal }),
    loop('ending-names', () => warn(options), { everyMs, log, signal }),
    loop('sought-names', () => seekSlice(options), { everyMs, log, signal }),
  ])
}

/** One slice. Answers whether there may be more. */
async function republish({ db, wakes, masters, log }: RepublisherOptions): Promise<boolean> {
  if (masters === undefined) return false
  const due = await dueKeys(db, SLICE)
  let signed = 0
  for (const [tenantId, keys] of Map.groupBy(due, (key) => key.tenantId)) {
    signed += await republishOf(tenantId, keys, { db, masters, log })
  }
  if (signed > 0) wakes.announce(NAMES)
  if (signed > 0) log.debug({ signed }, 'names signed anew')
  return due.length === SLICE
}

async function republishOf(
  tenantId: number,
  keys: readonly DueKey[],
  { db, masters, log }: { db: Database; masters: MasterKeys; log: Log },
): Promise<number> {
  try {
    return await withDueKeys(db, masters, tenantId, keys, async (secrets) => {
      const byName = new Map(keys.map((key, index) => [key.name, { ...key, secret: secrets[index] }]))
      return await resignNames(db, [...byName.keys()], (held) => {
        const key = byName.get(held.name)
        try {
          if (key?.secret === undefined) throw new Error('the key cannot be opened')
          return signAnew(importSigningKey(key.secret), held, key.lifetimeMs)
        } catch (error) {
          log.error({ err: error, tenantId, name: held.name }, 'a name could not be signed anew')
          return undefined
        }
      })
    })
  } catch (error) {
    // Other accounts are not held up by one whose keys another master key wraps.
    if (!hasCode(error)) throw error
    log.error({ err: error, tenantId, names: keys.length }, 'names could not be signed anew')
    await postponeNames(
      db,
      keys.map(({ name }) => name),
    )
    return 0
  }
}

async function warn({ db, wakes, log }: RepublisherOptions): Promise<boolean> {
  const ending = await takeEndingNames(db, SLICE)
  for (const { tenantId, name, label, mode, validUntil } of ending) {
    log.warn({ tenantId, name, label, mode, validUntil }, 'the record of a name ends and its owner has to publish it')
  }
  const ended = await takeEndedNames(db, SLICE)
  for (const { tenantId, name, label, mode, validUntil } of ended) {
    log.warn({ tenantId, name, label, mode, validUntil }, 'the record of a name has ended')
  }
  if (ending.length + ended.length > 0) wakes.announce(EVENTS)
  return ending.length === SLICE || ended.length === SLICE
}

async function seekSlice({ db, wakes, log, seekMs = SEEK_MS, signal }: RepublisherOptions): Promise<boolean> {
  const { asked, taken } = await seek(db, { everyMs: seekMs, log, signal })
  if (taken > 0) {
    wakes.announce(NAMES)
    wakes.announce(EVENTS)
  }
  return asked > 0
}
