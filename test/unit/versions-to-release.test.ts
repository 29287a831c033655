import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { versionsToRelease, type JudgedVersion } from '../../services/catalog/follows-release.ts'
import { PIN_STATUSES } from '../../services/core/pin.ts'

function version(status: JudgedVersion['status'], more: Partial<JudgedVersion> = {}): JudgedVersion {
  return { status, isCurrent: false, wasCurrent: true, isReserved: false, ...more }
}

const CURRENT = { isCurrent: true }

test('the oldest goes once the newest is pinned, and not before', () => {
  const [a, b] = [version('pinned'), version('pinned')]
  assert.deepEqual(versionsToRelease([version('pinning', CURRENT), b, a], 2), [])
  assert.deepEqual(versionsToRelease([version('failed', CURRENT), b, a], 2), [])
  assert.deepEqual(versionsToRelease([version('pinned', CURRENT), b, a], 2), [a])
  assert.deepEqual(versionsToRelease([version('pinned', CURRENT), b, a], 1), [b, a])
})

test('what failed and was superseded goes, and what was never published after its time', () => {
  const [failed, unpublished] = [version('failed'), version('pinned', { wasCurrent: false })]
  const reserved = version('pinned', { wasCurrent: false, isReserved: true })
  const released = versionsToRelease([version('pinning', CURRENT), failed, unpublished, reserved], 5)
  assert.deepEqual(released, [failed, unpublished])
})

const anyVersion = fc.record({
  status: fc.constantFrom(...PIN_STATUSES, null),
  isCurrent: fc.constant(false),
  wasCurrent: fc.boolean(),
  isReserved: fc.boolean(),
})

test('the present version stays, reserved ones stay, and as many pinned ones as are kept, the newest first', () => {
  fc.assert(
    fc.property(
      fc.array(anyVersion),
      fc.constantFrom(...PIN_STATUSES),
      fc.integer({ min: 1, max: 6 }),
      (others, status, keep) => {
        const current = version(status, CURRENT)
        const all = [...others, current]
        const released = new Set(versionsToRelease(all, keep))
        assert.ok(!released.has(current))
        assert.ok(![...released].some(({ isReserved }) => isReserved))
        const candidates = others.filter((one) => one.wasCurrent && !one.isReserved && one.status === 'pinned')
        const room = keep - (status === 'pinned' ? 1 : 0)
        assert.deepEqual(
          candidates.filter((one) => !released.has(one)),
          candidates.slice(0, room),
        )
      },
    ),
  )
})
