import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenBucket } from '../../services/transfer/token-bucket.ts'

const MIB = 1_024 * 1_024

test('copies that share a rate get no more than one second ahead of it, and come in their order', async () => {
  const bucket = new TokenBucket(20 * MIB)
  const startedAt = performance.now()
  const passed: number[] = []
  const takers = Array.from({ length: 28 }, async (_, index) => {
    await bucket.take(MIB, new AbortController().signal)
    passed.push(index)
  })
  await Promise.all(takers)
  // Of 28 MiB, 20 may pass at once: what is over has to wait, however fast or slow this machine is.
  assert.ok(performance.now() - startedAt >= 395)
  assert.deepEqual(
    passed,
    passed.toSorted((a, b) => a - b),
  )
})

test('whoever waits for the rate can leave', async () => {
  const bucket = new TokenBucket(1)
  await bucket.take(1, new AbortController().signal)
  const leaving = new AbortController()
  const waiting = bucket.take(1_000_000, leaving.signal)
  leaving.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
})
