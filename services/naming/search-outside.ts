import { hasCode } from '../core/errors.ts'
import { RecentMap } from '../core/recent-map.ts'
import { MINUTE_MS } from '../core/units.ts'
import { askAtOnce, type RecordStream } from './ask-at-once.ts'
import type { IpnsName } from './ipns-name.ts'
import { hasEnded, type IpnsRecord } from './ipns-record.ts'
import { compareRecords } from './newer-record.ts'
import { askInOrder, type RecordSearch, type RecordSource } from './record-source.ts'
import type { RecordStore } from './record-store.ts'

/** Owners choose TTLs down to nothing; while a record is valid, the world is asked for a newer one this often at most. */
const OUTSIDE_EVERY_MS = MINUTE_MS
/** Likewise for names of accounts, of which nodes are told; the control plane has the world asked every five minutes. */
const HOSTED_EVERY_MS = 4 * MINUTE_MS
/** Names of which it is remembered when the world was asked. */
const REMEMBERED = 4_096

export interface OutsideOptions {
  /** Names of accounts, on this machine. */
  hosted: RecordSource
  /** Names that anybody put here. */
  given: RecordSource
  /** Keeps what is found, so that after a restart nothing older is served; what is full keeps no more. */
  found: Pick<RecordStore, 'label' | 'get' | 'put'>
  /** The cluster's other nodes, always asked. */
  cluster: RecordSource
  /** Delegated routers and the DHT. */
  outside: readonly (RecordSource | RecordStream)[]
  /** Milliseconds since 1970. */
  nowMs?: () => number
}

/**
 * A search on this machine, and then in the cluster and in the world at once. What this machine has is served without
 * waiting for them; what they have and is not newer changes nothing.
 */
export function searchOutside(options: OutsideOptions): RecordSearch {
  const { hosted, given, found, cluster, outside, nowMs = Date.now } = options
  const inCluster = askAtOnce([cluster])
  const everywhere = askAtOnce([cluster, ...outside])
  const asked = new LastAsked()

  return async function* search(name, options) {
    const held = await heldIn(hosted, name, options)
    let newest: IpnsRecord | undefined
    for (const record of [held, await heldIn(given, name, options), await heldIn(found, name, options)]) {
      if (record !== undefined && isNews(record, newest)) yield (newest = record)
    }
    const isServed = newest !== undefined && !hasEnded(newest, nowMs())
    const everyMs = held === undefined ? OUTSIDE_EVERY_MS : HOSTED_EVERY_MS
    const isSpared = isServed && asked.isWithin(everyMs, name, nowMs())
    if (!isSpared) asked.note(name, nowMs())
    for await (const record of (isSpared ? inCluster : everywhere)(name, options)) {
      if (!isNews(record, newest)) continue
      newest = record
      yield record
      await found.put(name, record).catch(unlessRefused)
    }
  }
}

/** When the world was asked for each name last. */
class LastAsked {
  readonly #times = new RecentMap<string, number>(REMEMBERED)

  isWithin(ms: number, { text }: IpnsName, nowMs: number): boolean {
    return nowMs - (this.#times.get(text) ?? -Infinity) < ms
  }

  note({ text }: IpnsName, nowMs: number): void {
    this.#times.set(text, nowMs)
  }
}

function isNews(record: IpnsRecord, known: IpnsRecord | undefined): boolean {
  return known === undefined || compareRecords(record, known) > 0
}

/** Undefined also when it cannot be read: a broken disk does not keep a name from being resolved by others. */
async function heldIn(
  source: RecordSource,
  name: IpnsName,
  options: { signal: AbortSignal },
): Promise<IpnsRecord | undefined> {
  try {
    for await (const record of askInOrder([source])(name, options)) return record
  } catch (error) {
    if (!hasCode(error, 'UPSTREAM_FAILED')) throw error
  }
  return undefined
}

/** A disk that is full or broken makes no name unresolvable. */
function unlessRefused(error: unknown): void {
  if (!hasCode(error, 'STORAGE_FULL', 'STORAGE_FAILED')) throw error
}
