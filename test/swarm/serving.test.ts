import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerIdFromString } from '@libp2p/peer-id'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { MAX_BLOCK_BYTES } from '../../services/core/limits.ts'
import type { BitswapPort, IncomingMessage, WantEntry } from '../../services/swarm/bitswap-port.ts'
import { paceServing } from '../../services/swarm/serving.ts'
import { rawCid } from '../support/test-store.ts'

const PEER = peerIdFromString('12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust')

function want(name: string) {
  return { cid: rawCid(name).bytes, priority: 1, wantType: 'WantBlock' } as const satisfies WantEntry
}

function messageOf(entries: WantEntry[], full = false): IncomingMessage {
  return { wantlist: { entries, full }, blocks: [], blockPresences: [], pendingBytes: 0 }
}

/** A ledger that keeps what it is handed, owes what it is told to, and is busy until told otherwise. */
function busyLedger(owed: string[] = []): {
  port: BitswapPort['peerWantLists']
  slices: string[][]
  becomeIdle: () => Promise<void>
} {
  const slices: string[][] = []
  let idle = Promise.withResolvers<void>()
  return {
    slices,
    port: {
      receiveMessage(_peer, { wantlist }) {
        for (const { cid, cancel } of wantlist?.entries ?? []) {
          const at = owed.findIndex((name) => cancel === true && rawCid(name).equals(CID.decode(cid)))
          if (at >= 0) owed.splice(at, 1)
        }
        const wants = wantlist?.entries.filter((entry) => entry.cancel !== true) ?? []
        if (wants.length > 0) slices.push(wants.map((entry) => CID.decode(entry.cid).toString()))
      },
      ledgerForPeer: () => ({ sendQueue: { onIdle: () => idle.promise } }),
      peers: () => [PEER],
      wantListForPeer: () =>
        owed.map((name) => ({ ...want(name), cid: rawCid(name), status: 'want', sendDontHave: true })),
    },
    async becomeIdle() {
      idle.resolve()
      idle = Promise.withResolvers()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

async function drained({ slices, becomeIdle }: ReturnType<typeof busyLedger>): Promise<string[][]> {
  for (let seen = -1; seen !== slices.length;) {
    seen = slices.length
    await becomeIdle()
  }
  return slices
}

test('every want is handed over once, in order, in slices of at most 2 MiB or one block', async () => {
  const sizes = fc.array(fc.integer({ min: 0, max: MAX_BLOCK_BYTES }), { minLength: 1, maxLength: 200 })
  await fc.assert(
    fc.asyncProperty(sizes, async (blocks) => {
      const ledger = busyLedger()
      const names = blocks.map((_, index) => `block ${index}`)
      const sizeOf = new Map(names.map((name, index) => [rawCid(name).toString(), blocks[index] ?? 0]))
      paceServing(ledger.port, { sizeOf: (cid) => sizeOf.get(cid.toString()), isConnected: () => true })
      ledger.port.receiveMessage(PEER, messageOf(names.map(want)))
      const slices = await drained(ledger)
      assert.deepEqual(
        slices.flat(),
        names.map((name) => rawCid(name).toString()),
      )
      for (const slice of slices) {
        const bytes = slice.reduce((sum, cid) => sum + (sizeOf.get(cid) ?? 0), 0)
        assert.ok(slice.length === 1 || bytes <= MAX_BLOCK_BYTES)
      }
    }),
    { numRuns: 30 },
  )
})

test('what is cancelled, or left out of a new full list, before its turn is not loaded', async () => {
  const ledger = busyLedger()
  paceServing(ledger.port, { sizeOf: () => MAX_BLOCK_BYTES, isConnected: () => true })
  ledger.port.receiveMessage(PEER, messageOf(['a', 'b', 'c'].map(want)))
  ledger.port.receiveMessage(PEER, messageOf([{ ...want('b'), cancel: true }]))
  await ledger.becomeIdle()
  ledger.port.receiveMessage(PEER, messageOf(['d'].map(want), true))
  assert.deepEqual(
    (await drained(ledger)).flat(),
    ['a', 'd'].map((name) => rawCid(name).toString()),
  )
})

test('nothing is loaded for a peer that has gone', async () => {
  const ledger = busyLedger()
  let isConnected = true
  paceServing(ledger.port, { sizeOf: () => MAX_BLOCK_BYTES, isConnected: () => isConnected })
  ledger.port.receiveMessage(PEER, messageOf(['a', 'b'].map(want)))
  await new Promise((resolve) => setImmediate(resolve))
  isConnected = false
  assert.deepEqual((await drained(ledger)).flat(), [rawCid('a').toString()])
})

test('an entry that is no CID is left out', async () => {
  const ledger = busyLedger()
  paceServing(ledger.port, { sizeOf: () => 1, isConnected: () => true })
  ledger.port.receiveMessage(PEER, messageOf([{ cid: new Uint8Array([9, 9]), priority: 1 }, want('a')]))
  assert.deepEqual((await drained(ledger)).flat(), [rawCid('a').toString()])
})

test('what was lacked and has come is served when told to look again, a slice at a time; the rest stays owed', async () => {
  const owed = ['a', 'b', 'lacked still']
  const ledger = busyLedger(owed)
  const held = new Set(['a', 'b'].map((name) => rawCid(name).toString()))
  const sizeOf = (cid: CID): number | undefined => (held.has(cid.toString()) ? MAX_BLOCK_BYTES : undefined)
  const serving = paceServing(ledger.port, { sizeOf, isConnected: () => true })
  await Promise.all([serving.lookAgain(), serving.lookAgain()])
  assert.deepEqual(await drained(ledger), [[rawCid('a').toString()], [rawCid('b').toString()]])
  assert.deepEqual(owed, ['lacked still'])
})

test('a message never makes the ledger load at once all that has come since it was asked for', async () => {
  const ledger = busyLedger(['a', 'b'])
  paceServing(ledger.port, { sizeOf: () => MAX_BLOCK_BYTES, isConnected: () => true })
  ledger.port.receiveMessage(PEER, messageOf(['c'].map(want)))
  assert.deepEqual(
    await drained(ledger),
    ['a', 'b', 'c'].map((name) => [rawCid(name).toString()]),
  )
})
