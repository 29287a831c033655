import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecentMap } from '../../services/core/recent-map.ts'

test('a map keeps what was set last, and what is set again counts as set just now', () => {
  const map = new RecentMap<string, number>(2)
  map.set('a', 1).set('b', 2).set('a', 3).set('c', 4)
  assert.deepEqual(
    [...map],
    [
      ['a', 3],
      ['c', 4],
    ],
  )
  map.delete('a')
  map.set('d', 5)
  assert.deepEqual([...map.keys()], ['c', 'd'])
})
