import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { BeatSource } from '../../services/node/beat.ts'
import { until } from '../support/until.ts'

const SPACE: ReturnType<BlockStore['space']> = {
  capacityBytes: 1_000,
  freeBytes: 900,
  storedBytes: 100,
  blocks: 3,
  refusal: undefined,
}

function storeOf(space: BlockStore['space']): Pick<BlockStore, 'space' | 'roots'> {
  return { space, roots: () => [][Symbol.iterator]() }
}

test('a beat does not wait for a peer process that hangs, and has what it says once it does', async () => {
  const answer = Promise.withResolvers<{ peerId: string; multiaddrs: string[] }>()
  const peer = { status: () => answer.promise as never }
  const beats = new BeatSource({ store: storeOf(() => SPACE), peer, capacityBytes: undefined })
  assert.deepEqual(beats.next().addresses, [])
  answer.resolve({ peerId: 'peer', multiaddrs: ['/ip4/127.0.0.1/tcp/1'] })
  const beat = await until('the peer in a beat', () => {
    const next = beats.next()
    return next.peerId === undefined ? undefined : next
  })
  assert.deepEqual([beat.peerId, beat.addresses], ['peer', ['/ip4/127.0.0.1/tcp/1']])
})

test('a store that cannot be asked for its room just now is told of, and the node goes on', () => {
  let fails = false
  const space = (): typeof SPACE => {
    if (fails) throw new Error('No transaction to renew')
    return SPACE
  }
  const peer = { status: () => Promise.reject(new Error('there is none')) }
  const beats = new BeatSource({ store: storeOf(space), peer, capacityBytes: 500 })
  assert.equal(beats.next().refusal, undefined)
  fails = true
  const { capacityBytes, storedBytes, refusal } = beats.next()
  assert.deepEqual([capacityBytes, storedBytes], [500, 100])
  assert.match(String(refusal), /does not say/)
  fails = false
  assert.equal(beats.next().refusal, undefined)
})
