import type { HeldName, KeptRecord } from '../catalog/ipns-names.ts'
import { createIpnsRecord } from '../naming/create-record.ts'
import { decodeIpnsRecord } from '../naming/ipns-record.ts'
import type { SigningKey } from '../naming/signing-key.ts'

const NS_PER_MS = 1_000_000n

/**
 * The same record with a later end: same sequence, value and TTL. The end is never an earlier one.
 * @throws BAD_REQUEST, INVALID_RECORD, NAME_NOT_RESOLVED when the record holds what we do not write
 */
export function signAnew(
  key: SigningKey,
  { record, nowMs }: Pick<HeldName & { record: KeptRecord }, 'record' | 'nowMs'>,
  lifetimeMs: number,
): KeptRecord {
  const { value, ttlNs } = decodeIpnsRecord(record.bytes)
  const made = createIpnsRecord(key, {
    value: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value),
    sequence: record.sequence,
    validUntilMs: Math.max(Math.floor(nowMs) + lifetimeMs, Number(record.validUntilNs / NS_PER_MS) + 1),
    ttlMs: Number(ttlNs / NS_PER_MS),
  })
  return { ...made, target: record.target }
}
