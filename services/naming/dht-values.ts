import { hasCode } from '../core/errors.ts'
import { nameOfRoutingKey } from './ipns-name.ts'
import { decodeIpnsRecord, hasEnded, validateIpnsRecord, type IpnsRecord } from './ipns-record.ts'
import { compareRecords } from './newer-record.ts'
import { askInOrder, type RecordSource } from './record-source.ts'

/** What a DHT is to hold under `/ipns/` keys: of the records of the name that have not ended, the newest. */
export interface IpnsValues {
  /** @throws INVALID_NAME, INVALID_RECORD */
  check(key: Uint8Array, value: Uint8Array): void
  /** Of two records that were checked: negative when `a` is older than `b`, zero only for equal bytes. */
  compare(a: Uint8Array, b: Uint8Array): number
  /** The newest record that this machine has itself, if it has not ended. */
  stored(key: Uint8Array): Promise<Uint8Array | undefined>
}

/** @param own places on this machine where records are */
export function ipnsValues(own: readonly RecordSource[] = []): IpnsValues {
  const search = askInOrder(own)
  return {
    check: (key, value) => void validateIpnsRecord(nameOfRoutingKey(key), value, Date.now()),
    compare: (a, b) => compareRecords(decodeIpnsRecord(a), decodeIpnsRecord(b)),
    async stored(key) {
      let newest: IpnsRecord | undefined
      try {
        for await (const record of search(nameOfRoutingKey(key), { signal: NEVER })) newest = record
      } catch (error) {
        // What strangers ask for need not be a key, and a broken disk leaves what they stored here.
        if (!hasCode(error, 'INVALID_NAME', 'UPSTREAM_FAILED')) throw error
      }
      return newest === undefined || hasEnded(newest, Date.now()) ? undefined : newest.bytes
    },
  }
}

const NEVER = new AbortController().signal
