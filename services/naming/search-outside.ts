import { hasCode } from '../core/errors.ts'
import { MINUTE_MS } from '../core/units.ts'
import { askAtOnce, type RecordStream } from './ask-at-once.ts'
import type { IpnsName } from './ipns-name.ts'
import { hasEnded, type IpnsRecord } from './ipns-record.ts'
import { compareRecords } from './newer-record.ts'
import { askInOrder, type RecordSearch, type RecordSource } from './record-source.ts'
import type { RecordStore } from './record-store.ts'

/** Owners choose TTLs down to nothing; while a record is valid, the world is asked for a newer one this often at most. */
const OUTSIDE_EVERY_MS = MINUTE_MS
/** Names of which it is remembered when the world was asked. */
const REMEMBERED = 4_096

export interface OutsideOptions {
  /** Stores on this machine, asked first. */
  own: readonly RecordSource[]
  /** The cluster's other nodes, always asked. */
  cluster: RecordSource
  /** Delegated routers and the DHT. */
  outside: readonly (RecordSource | RecordStream)[]
  /** Keeps what was found, so that after a restart nothing older is served. */
  keep: Pick<RecordStore, 'put'>
  /** Milliseconds since 1970. */
  nowMs?: () => number
}

/**
 * A search on this machine, and then in the cluster and in the world at once. What this machine has is served without
 * waiting for them; what they have and is not newer changes nothing.
 */
export function searchOutside({ own, cluster, outside, keep, nowMs = Date.now }: OutsideOptions): RecordSearch {
  const onDisk = askInOrder(own)
  const inCluster = askAtOnce([cluster])
  const everywhere = askAtOnce([cluster, ...outside])
  const asked = new Map<string, number>()

  /** Whether the world need not be asked again yet for something newer than a record that can be served. */
  function isSpared(name: IpnsName, known: IpnsRecord | undefined): boolean {
    const now = nowMs()
    const isRecent = now - (asked.get(name.text) ?? -Infinity) < OUTSIDE_EVERY_MS
    if (known !== undefined && !hasEnded(known, now) && isRecent) return true
    asked.delete(name.text)
    asked.set(name.text, now)
    const [oldest] = asked.keys()
    if (asked.size > REMEMBERED && oldest !== undefined) asked.delete(oldest)
    return false
  }

  return async function* search(name, options) {
    let newest: IpnsRecord | undefined
    try {
      for await (const record of onDisk(name, options)) yield (newest = record)
    } catch (error) {
      // A broken disk does not keep a name from being resolved by others.
      if (!hasCode(error, 'UPSTREAM_FAILED')) throw error
    }
    const search = isSpared(name, newest) ? inCluster : everywhere
    for await (const record of search(name, options)) {
      if (newest !== undefined && compareRecords(record, newest) <= 0) continue
      newest = record
      yield record
      await keep.put(name, record).catch(unlessRefused)
    }
  }
}

/** A disk that is full or broken makes no name unresolvable. */
function unlessRefused(error: unknown): void {
  if (!hasCode(error, 'STORAGE_FULL', 'STORAGE_FAILED')) throw error
}
