import type { Abortable } from '../core/block-source.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import type { IpnsName } from './ipns-name.ts'
import { verifyIpnsRecord, type IpnsRecord } from './ipns-record.ts'
import { compareRecords } from './newer-record.ts'

/** Where records come from: a disk, the directory feed, a router, the DHT. Nothing it gives is trusted. */
export interface RecordSource {
  /** Of the place, for log lines. */
  readonly label: string
  /** The bytes of a record of the name; undefined when the source knows none. */
  get(name: IpnsName, options: Abortable): Promise<Uint8Array | undefined>
}

/**
 * A search for a name's record. It gives verified records, each newer than the one before: the first that has not ended
 * can be served at once while the search goes on. One that has ended is given too, for nothing older may follow it.
 * It throws when no source gave a record and at least one failed.
 */
export interface RecordSearch {
  (name: IpnsName, options: { signal: AbortSignal }): AsyncIterable<IpnsRecord>
}

/** A search that asks the sources one after the other. */
export function askInOrder(sources: readonly RecordSource[]): RecordSearch {
  return async function* search(name, { signal }) {
    let newest: IpnsRecord | undefined
    let failure: unknown
    for (const source of sources) {
      try {
        const bytes = await unlessAborted(source.get(name, { signal }), signal)
        const record = bytes && verifyIpnsRecord(name, bytes)
        if (record === undefined || (newest !== undefined && compareRecords(record, newest) <= 0)) continue
        newest = record
      } catch (cause) {
        signal.throwIfAborted()
        failure = cause
        continue
      }
      yield newest
    }
    if (newest === undefined && failure !== undefined) throw asFailure(failure)
  }
}

/** What a search says when nobody gave a valid record. */
export function asFailure(cause: unknown): HoldfastError {
  const what = hasCode(cause, 'INVALID_RECORD')
    ? `only gave an invalid record: ${cause.message}`
    : 'could not be asked.'
  return new HoldfastError('UPSTREAM_FAILED', `The sources of IPNS records ${what}`, { cause })
}
