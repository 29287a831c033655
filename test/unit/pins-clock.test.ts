import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { momentText, nextMoments } from '../../services/catalog/pins-clock.ts'

const NOW = 1_790_000_000_000_000n

test('moments grow strictly, come after the last one, and are none of the past', () => {
  fc.assert(
    fc.property(fc.bigInt(-20_000_000n, 20_000_000n), fc.integer({ min: 1, max: 3_000 }), (ahead, count) => {
      const moments = nextMoments(NOW + ahead, NOW, count)
      assert.equal(moments.length, count)
      for (const [index, moment] of moments.entries()) {
        assert.ok(moment > (moments[index - 1] ?? NOW + ahead))
        assert.ok(moment >= NOW)
      }
    }),
  )
})

test('a thousand pins at once have a millisecond each, and a hundred thousand do not run a minute ahead', () => {
  const thousand = nextMoments(NOW - 1_000_000n, NOW, 1_000).map((us) => us / 1_000n)
  assert.equal(new Set(thousand).size, 1_000)
  const many = nextMoments(NOW - 1_000_000n, NOW, 100_000)
  assert.ok((many.at(-1) ?? 0n) - NOW < 11_000_000n)
})

test('a moment is written with six decimals', () => {
  assert.equal(momentText(1_767_323_045_678_901n), '2026-01-02T03:04:05.678901Z')
  assert.equal(momentText(1_767_323_045_000_000n), '2026-01-02T03:04:05.000000Z')
})
