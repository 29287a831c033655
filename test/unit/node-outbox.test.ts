import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Report } from '../../services/core/sync.ts'
import { Outbox } from '../../services/node/outbox.ts'

function progress(lease: string, bytes: number): Report {
  return { outcome: 'progress', contentId: lease, lease, bytes, blocks: 1, phase: 'copying' }
}

function stored(lease: string): Report {
  return { outcome: 'stored', contentId: lease, lease, bytes: 1, blocks: 1 }
}

test('of progress only the newest is told, and none after the outcome', () => {
  const outbox = new Outbox()
  outbox.add(progress('a', 1))
  outbox.add(progress('b', 1))
  outbox.add(progress('a', 2))
  outbox.add(stored('b'))
  assert.deepEqual(outbox.take(10), [stored('b'), progress('a', 2)])
  assert.equal(outbox.size, 0)
})

test('what could not be sent is sent again, before newer outcomes and behind newer progress', () => {
  const outbox = new Outbox()
  outbox.add(stored('a'))
  outbox.add(progress('b', 1))
  outbox.add(progress('c', 1))
  const taken = outbox.take(10)
  outbox.add(progress('b', 2))
  outbox.add(stored('c'))
  outbox.giveBack(taken)
  assert.deepEqual(outbox.take(10), [stored('a'), stored('c'), progress('b', 2)])
})

test('a damaged root waits once, and is sent again when that failed', async () => {
  const outbox = new Outbox()
  outbox.addDamaged(['a', 'b', 'a'])
  await outbox.filled(new AbortController().signal)
  assert.deepEqual(outbox.takeDamaged(1), ['a'])
  outbox.addDamaged(['a'])
  assert.deepEqual(outbox.takeDamaged(10), ['b', 'a'])
  assert.equal(outbox.size, 0)
})

test('no outcome is lost or reordered, however often sending fails', () => {
  const step = fc.oneof(fc.constant('add' as const), fc.constant('send' as const), fc.constant('fail' as const))
  fc.assert(
    fc.property(fc.array(step), fc.integer({ min: 1, max: 5 }), (steps, max) => {
      const outbox = new Outbox()
      const sent: string[] = []
      let added = 0
      for (const step of [...steps, ...Array.from({ length: steps.length }, () => 'send' as const)]) {
        if (step === 'add') outbox.add(stored(String(added++)))
        else if (step === 'send') sent.push(...outbox.take(max).map(({ lease }) => lease))
        else outbox.giveBack(outbox.take(max))
      }
      assert.deepEqual(
        sent,
        Array.from({ length: added }, (_, index) => String(index)),
      )
    }),
  )
})

test('whoever waits is woken by a report', async () => {
  const outbox = new Outbox()
  const waiting = outbox.filled(new AbortController().signal)
  outbox.add(stored('a'))
  await waiting
  const stop = new AbortController()
  outbox.take(1)
  const stopped = outbox.filled(stop.signal)
  stop.abort()
  await stopped
})
