import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsedBuffers } from '../../services/core/used-buffers.ts'
import { KIB, MIB } from '../../services/core/units.ts'

test('a buffer that was given back is used again, also for a shorter block', () => {
  const buffers = new UsedBuffers()
  const first = buffers.take(MIB)
  buffers.giveBack(first.subarray(10, 20))
  const second = buffers.take(MIB - 100)
  assert.equal(second.buffer, first.buffer)
  assert.equal(second.length, MIB - 100)
})

test('a buffer has one owner: what is taken, given back twice or kept is given to nobody else', () => {
  const buffers = new UsedBuffers()
  const first = buffers.take(MIB)
  assert.notEqual(buffers.take(MIB).buffer, first.buffer)
  buffers.giveBack(first)
  buffers.giveBack(first)
  assert.equal(buffers.take(MIB).buffer, first.buffer)
  const kept = buffers.take(MIB)
  assert.notEqual(kept.buffer, first.buffer)
  buffers.keep(kept)
  buffers.giveBack(kept)
  assert.notEqual(buffers.take(MIB).buffer, kept.buffer)
})

test('foreign and small buffers are not taken, and no more lie idle than were granted', () => {
  const buffers = new UsedBuffers(MIB)
  const foreign = new Uint8Array(MIB)
  buffers.giveBack(foreign)
  assert.notEqual(buffers.take(MIB).buffer, foreign.buffer)
  const small = buffers.take(KIB)
  buffers.giveBack(small)
  const [one, two] = [buffers.take(MIB), buffers.take(MIB)]
  buffers.giveBack(one)
  buffers.giveBack(two)
  assert.equal(buffers.take(MIB).buffer, one.buffer)
  assert.notEqual(buffers.take(MIB).buffer, two.buffer)
})
