import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { IpnsRecord } from '../../services/naming/ipns-record.ts'
import { compareRecords, newerRecord } from '../../services/naming/newer-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { NOW_MS, recordOf } from '../support/naming.ts'

/** Records from a small space, so that ties at each step of the comparison are common. */
const record: fc.Arbitrary<IpnsRecord> = fc
  .record({
    sequence: fc.constantFrom(0n, 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n),
    validUntilNs: fc.constantFrom(1n, 2n, 10n ** 18n, 10n ** 18n + 1n),
    bytes: fc.uint8Array({ maxLength: 2, max: 3 }),
  })
  .map((fields) => ({ ...fields, value: new Uint8Array(0), ttlNs: 0n }))

test('of any two records one is newer, and which one does not depend on their order', () => {
  fc.assert(
    fc.property(record, record, (a, b) => {
      assert.equal(Math.sign(compareRecords(a, b)) + Math.sign(compareRecords(b, a)), 0)
      assert.equal(compareRecords(a, b) === 0, isSame(a, b))
      assert.equal(compareRecords(a, a), 0)
    }),
  )
})

test('the order is transitive', () => {
  fc.assert(
    fc.property(record, record, record, (a, b, c) => {
      if (compareRecords(a, b) <= 0 && compareRecords(b, c) <= 0) assert.ok(compareRecords(a, c) <= 0)
    }),
    { numRuns: 2_000 },
  )
})

test('nodes that get the same records in any order end with the same one', () => {
  const arrivals = fc
    .array(record, { minLength: 1, maxLength: 8 })
    .chain((records) =>
      fc.tuple(
        fc.constant(records),
        fc.shuffledSubarray(records, { minLength: records.length, maxLength: records.length }),
      ),
    )
  fc.assert(
    fc.property(arrivals, ([one, other]) => {
      assert.ok(isSame(one.reduce(newerRecord), other.reduce(newerRecord)))
    }),
  )
})

test('a higher sequence wins over a later end, a later end over larger bytes', () => {
  const key = generateSigningKey()
  const base = recordOf(key, { sequence: 5n, validUntilMs: NOW_MS })
  assert.ok(compareRecords(recordOf(key, { sequence: 6n, validUntilMs: 0 }), base) > 0)
  assert.ok(compareRecords(recordOf(key, { sequence: 5n, validUntilMs: NOW_MS + 1 }), base) > 0)
  const other = recordOf(key, { sequence: 5n, validUntilMs: NOW_MS, ttlMs: 1 })
  assert.equal(compareRecords(other, base), Buffer.compare(other.bytes, base.bytes))
})

function isSame(a: IpnsRecord, b: IpnsRecord): boolean {
  return a.sequence === b.sequence && a.validUntilNs === b.validUntilNs && Buffer.compare(a.bytes, b.bytes) === 0
}
