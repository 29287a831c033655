import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { RAW, SHA2_256 } from '../../services/core/cid.ts'
import { fetchRanges } from '../../services/transfer/fetch-ranges.ts'
import { cutRanges, laneToTakeOver, type Lane, type Range } from '../../services/transfer/ranges.ts'
import {
  decodeBits,
  decodeCids,
  decodeEntries,
  encodeBits,
  encodeCids,
  encodeEntries,
} from '../../services/transfer/wire.ts'
import { testBlock } from '../support/blocks.ts'

const MIB = 1_024 * 1_024

const anyCid = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((digest) => CID.createV1(RAW, create(SHA2_256, digest)))
const anyEntry = fc.record({ cid: anyCid, length: fc.integer({ min: 0, max: 2 * MIB }) })

test('what is written on the wire is read from it', () => {
  fc.assert(
    fc.property(fc.array(anyEntry), fc.array(fc.boolean()), (entries, bits) => {
      const cids = entries.map(({ cid }) => cid)
      assert.deepEqual(decodeCids(encodeCids(cids), cids.length).map(String), cids.map(String))
      const read = [...decodeEntries(encodeEntries(entries))]
      assert.deepEqual(
        read.map(({ cid, length }) => [cid.toString(), length]),
        entries.map(({ cid, length }) => [cid.toString(), length]),
      )
      assert.deepEqual(decodeBits(encodeBits(bits), bits.length), bits)
    }),
  )
})

test('bytes that are no message are refused, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      for (const read of [() => decodeCids(bytes, 1_000), () => [...decodeEntries(bytes)]]) {
        try {
          read()
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'BAD_REQUEST')
        }
      }
    }),
  )
})

test('ranges hold every block once, in order, and none is much too large', () => {
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 3_000 }), (entries) => {
      const ranges = [...cutRanges(entries)]
      const cids = ranges.flatMap((range) => range.cids)
      assert.deepEqual(
        cids,
        entries.map(({ cid }) => cid),
      )
      for (const { bytes, cids } of ranges) assert.ok(bytes < 6 * MIB && cids.length <= 1_000 && cids.length > 0)
    }),
    { numRuns: 30 },
  )
})

function lane(source: string, more: Partial<Lane> = {}): Lane {
  const range = { cids: [], bytes: 4 * MIB, lackedBy: new Set<string>() }
  return { source, range, next: 0, bytes: 0, startedAt: 0, progressAt: 0, ...more }
}

test('an idle source takes over from one that stalls or is much slower, never from its equal or from itself', () => {
  const now = 10_000
  const fast = { source: 'fast', bytesPerMs: 1_000 }
  const slow = lane('slow', { bytes: MIB, progressAt: now })
  const equal = lane('equal', { startedAt: now - 3_000, bytes: 3 * MIB, progressAt: now })
  assert.equal(laneToTakeOver([equal, slow], fast, now), slow)
  assert.equal(laneToTakeOver([equal], fast, now), undefined)
  const stalled = lane('stalled', { progressAt: now - 2_500 })
  assert.equal(laneToTakeOver([stalled], { source: 'new', bytesPerMs: undefined }, now), stalled)
  assert.equal(laneToTakeOver([stalled], { source: 'stalled', bytesPerMs: 1_000 }, now), undefined)
  const lacking = lane('slow', { range: { cids: [], bytes: 4 * MIB, lackedBy: new Set(['fast']) } })
  assert.equal(laneToTakeOver([lacking], fast, now), undefined)
})

test('what the source of a lane that was taken over lacks is fetched from the other, however late it is known', async () => {
  const [lacked, slow, last] = [testBlock(1), testBlock(2), testBlock(3)]
  const all = [lacked, slow, last]
  const otherIsDone = Promise.withResolvers<void>()
  const taken: string[] = []
  async function* blocks(node: string, cids: readonly CID[], { signal }: { signal?: AbortSignal } = {}) {
    for (const block of all.filter(({ cid }) => cids.some((asked) => asked.equals(cid)))) {
      signal?.throwIfAborted()
      if (node === 'other' || block !== lacked) yield block
    }
    if (node === 'other') setImmediate(otherIsDone.resolve)
  }
  async function* ranges(): AsyncGenerator<Range> {
    yield { cids: all.map(({ cid }) => cid), bytes: 3_000, lackedBy: new Set() }
  }
  await fetchRanges(ranges(), {
    client: { blocks },
    sources: ['first', 'other'],
    lanesPerSource: 1,
    signal: AbortSignal.timeout(20_000),
    async take({ cid }) {
      taken.push(cid.toString())
      // The disk takes its time; meanwhile the lane counts as stalled, and the other source ends it.
      if (cid.equals(slow.cid)) await otherIsDone.promise
    },
  })
  assert.deepEqual(new Set(taken), new Set(all.map(({ cid }) => cid.toString())))
})
