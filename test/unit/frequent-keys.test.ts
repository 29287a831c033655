import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { FrequentKeys } from '../../services/core/frequent-keys.ts'

test('no key is said to weigh more than it does, and one with more than its share is known', () => {
  const stream = fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 100 })), {
    maxLength: 400,
  })
  fc.assert(
    fc.property(stream, fc.integer({ min: 1, max: 12 }), (additions, places) => {
      const keys = new FrequentKeys(places)
      const weights = new Map<string, number>()
      let total = 0
      for (const [number, weight] of additions) {
        const key = String(number)
        keys.add(key, weight)
        weights.set(key, (weights.get(key) ?? 0) + weight)
        total += weight
      }
      const known = new Map(keys.heaviest().map(({ key, weight }) => [key, weight]))
      assert.ok(known.size <= places)
      for (const [key, weight] of weights) {
        assert.ok(keys.of(key) <= weight)
        if (weight > total / places) assert.ok(known.has(key))
      }
    }),
  )
})

test('weights fade, and what came to nothing is forgotten', () => {
  const keys = new FrequentKeys(10)
  keys.add('much', 100)
  keys.add('little', 1)
  keys.scale(0.5)
  assert.deepEqual(keys.heaviest(), [{ key: 'much', weight: 50 }])
})
