import { encode as encodeDagCbor } from '@ipld/dag-cbor'
import { IPNSEntry } from '@helia/ipns'
import { createIpnsRecord, type NewRecord } from '../../services/naming/create-record.ts'
import type { IpnsName } from '../../services/naming/ipns-name.ts'
import { signedBytes, type IpnsRecord } from '../../services/naming/ipns-record.ts'
import type { RecordSource } from '../../services/naming/record-source.ts'
import type { SigningKey } from '../../services/naming/signing-key.ts'

/** An instant in the middle of all records that tests make. */
export const NOW_MS = Date.UTC(2030, 5, 15)
export const DAY_MS = 86_400_000
export const CONTENT = '/ipfs/bafkqaddwgevxmmraojswg33smq'

/** A record that is valid for a day after {@link NOW_MS}. */
export function recordOf(key: SigningKey, wanted: Partial<NewRecord> = {}): IpnsRecord {
  return createIpnsRecord(key, {
    value: CONTENT,
    sequence: 1n,
    validUntilMs: NOW_MS + DAY_MS,
    ttlMs: 60_000,
    ...wanted,
  })
}

/** A record whose data is anything, properly signed, with whatever else stands in its envelope. */
export function recordWith(
  key: SigningKey,
  data: Record<string, unknown>,
  envelope: Partial<IPNSEntry> = {},
): Uint8Array {
  const encoded = new Uint8Array(encodeDagCbor(data))
  return IPNSEntry.encode({ signatureV2: key.sign(signedBytes(encoded)), data: encoded, ...envelope })
}

/** The fields of a sound record, to be changed by the test. */
export function soundData(): Record<string, unknown> & { TTL: number } {
  return {
    Value: Buffer.from(CONTENT),
    Validity: Buffer.from(new Date(NOW_MS + DAY_MS).toISOString()),
    ValidityType: 0,
    Sequence: 1,
    TTL: 60_000_000_000,
  }
}

/** A place that records are asked from; it counts how often. */
export class MemoryRecords implements RecordSource {
  readonly label = 'memory'
  readonly records = new Map<string, Uint8Array>()
  asked = 0

  constructor(...known: [name: IpnsName, record: IpnsRecord][]) {
    for (const [name, record] of known) this.set(name, record)
  }

  set(name: IpnsName, record: IpnsRecord): void {
    this.records.set(name.text, record.bytes)
  }

  get(name: IpnsName): Promise<Uint8Array | undefined> {
    this.asked += 1
    return Promise.resolve(this.records.get(name.text))
  }
}
