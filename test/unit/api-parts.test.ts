import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { multiaddr } from '@multiformats/multiaddr'
import { delegatesOf } from '../../services/api/pins/delegates.ts'
import { RequestBudget } from '../../services/api/request-budget.ts'
import { Timestamp } from '../../services/api/timestamp.ts'
import type { DirectoryNode } from '../../services/core/sync.ts'

const MICROSECOND_DIGITS = 6

test('a time of any offset and precision becomes the same moment in UTC, cut to microseconds', () => {
  const moment = fc.integer({ min: Date.UTC(1970), max: Date.UTC(9998) }).map((ms) => Math.floor(ms / 1_000) * 1_000)
  const offset = fc.integer({ min: -14 * 60, max: 14 * 60 })
  const fraction = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 9 }).map((digits) => digits.join(''))
  fc.assert(
    fc.property(moment, offset, fraction, (ms, minutes, digits) => {
      const local = new Date(ms + minutes * 60_000).toISOString().slice(0, 19)
      const size = Math.abs(minutes)
      const zone = `${minutes < 0 ? '-' : '+'}${String(Math.floor(size / 60)).padStart(2, '0')}:${String(size % 60).padStart(2, '0')}`
      const text = `${local}${digits === '' ? '' : `.${digits}`}${zone}`
      const expected = `${new Date(ms).toISOString().slice(0, 19)}.${digits.slice(0, MICROSECOND_DIGITS).padEnd(MICROSECOND_DIGITS, '0')}Z`
      assert.equal(Timestamp.parse(text), expected)
    }),
  )
})

for (const text of [
  '',
  'now',
  '2026-01-01',
  '2026-13-01T00:00:00Z',
  '2026-01-01T24:00:01Z',
  '2026-01-01T00:00:00',
  '1767225600',
]) {
  test(`${JSON.stringify(text)} is no time`, () => assert.equal(Timestamp.safeParse(text).success, false))
}

test('a budget lets through its limit in each window, whatever the order of keys and times', () => {
  const step = fc.record({ key: fc.constantFrom('a', 'b', 'c'), waitMs: fc.integer({ min: 0, max: 20_000 }) })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 100 }), (limit, steps) => {
      const budget = new RequestBudget(limit)
      const passed = new Map<string, number[]>()
      let now = 0
      for (const { key, waitMs } of steps) {
        now += waitMs
        const { allowed, remaining, resetSeconds } = budget.take(key, now)
        assert.ok(remaining >= 0 && remaining < limit + 1 && resetSeconds >= 0 && resetSeconds <= 60)
        const times = passed.get(key) ?? []
        if (allowed) passed.set(key, [...times, now])
        // A window is a minute, so any half minute holds at most the budgets of two windows.
        assert.ok((passed.get(key) ?? []).filter((at) => at > now - 30_000).length <= 2 * limit)
        if (!allowed) assert.ok(times.length >= limit)
      }
    }),
  )
})

test('a budget remembers only so many keys', () => {
  const budget = new RequestBudget(1)
  assert.equal(budget.take('first', 0).allowed, true)
  for (let index = 0; index < 50_000; index++) budget.take(`key ${index}`, 0)
  assert.equal(budget.take('first', 0).allowed, true)
})

function node(name: string, region: string, more: Partial<DirectoryNode> = {}): DirectoryNode {
  const peer = '12D3KooWGRUVh6o6rRXN5ciB4n5nPJDPvVAjyqz3kCEmS7GXQf5M'
  const addresses = [`/ip4/10.0.0.1/tcp/4001/p2p/${peer}`, `/dns4/${name}/tcp/4001/p2p/${peer}`]
  return {
    name,
    publicKey: 'A'.repeat(43),
    labels: { region },
    transfer: '',
    gateway: '',
    addresses,
    liveness: 'up',
    ...more,
  }
}

test('delegates are never none, never more than 20, never doubled, and all end in a peer id', () => {
  const nodes = fc.array(
    fc.record({
      region: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
      up: fc.boolean(),
      reachable: fc.boolean(),
    }),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(nodes, (specs) => {
      const all = specs.map(({ region, up, reachable }, index) =>
        node(`n${index}.example`, region, {
          liveness: up ? 'up' : 'down',
          ...(reachable ? {} : { addresses: ['/ip4/10.0.0.1/tcp/1'] }),
        }),
      )
      const delegates = delegatesOf(all, 'A'.repeat(43))
      assert.ok(delegates.length >= 1 && delegates.length <= 20)
      assert.equal(new Set(delegates).size, delegates.length)
      for (const text of delegates) assert.equal(multiaddr(text).getComponents().at(-1)?.name, 'p2p')
    }),
  )
})
