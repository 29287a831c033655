import type { IpnsRecord } from './ipns-record.ts'

/**
 * The one order of a name's records, the same on every node and whatever the order of their arrival: the higher
 * sequence is newer, then the later end (to the nanosecond), then the larger bytes (as boxo has it). Zero only for
 * equal bytes. It says nothing of validity; compare verified records.
 * @returns negative when `a` is older than `b`, positive when it is newer
 */
export function compareRecords(a: IpnsRecord, b: IpnsRecord): number {
  if (a.sequence !== b.sequence) return a.sequence < b.sequence ? -1 : 1
  if (a.validUntilNs !== b.validUntilNs) return a.validUntilNs < b.validUntilNs ? -1 : 1
  return Buffer.compare(a.bytes, b.bytes)
}

/** The newer of two; the first when their bytes are equal. */
export function newerRecord(a: IpnsRecord, b: IpnsRecord): IpnsRecord {
  return compareRecords(a, b) >= 0 ? a : b
}
