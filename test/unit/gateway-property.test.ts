import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { readFile } from '../../services/dag/read-file.ts'
import { resolve } from '../../services/dag/resolve.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { joined, MemoryBlocks, pseudoRandomBytes } from '../support/dag.ts'
import { ask, carBlocks, openGateway } from '../support/gateway.ts'

/** How a file is cut: leaves of some length, or nodes over further cuts. */
type Cut = number | Cut[]

const cut = fc.letrec<{ cut: Cut }>((tie) => ({
  cut: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.integer({ min: 0, max: 700 }),
    fc.array(tie('cut'), { minLength: 1, maxLength: 5 }),
  ),
})).cut
const name = fc.stringMatching(/^[a-z0-9 %+=é"<&]{1,12}$/).filter((text) => text.trim() !== '')

let gateway: Gateway
const blocks = new MemoryBlocks()
before(async () => {
  gateway = await openGateway(blocks)
})
after(() => gateway.close())

/** Writes a file cut like this, and answers its root and bytes. */
function addCutFile(shape: Cut, seed: number): { cid: CID; bytes: Buffer } {
  if (typeof shape === 'number') {
    const bytes = Buffer.from(pseudoRandomBytes(seed, shape))
    return { cid: blocks.addRaw(bytes), bytes }
  }
  const parts = shape.map((part, index) => addCutFile(part, seed * 31 + index))
  const sizes = parts.map(({ bytes }) => bytes.length)
  return {
    cid: blocks.addFileNode(
      parts.map(({ cid }) => cid),
      sizes,
    ),
    bytes: Buffer.concat(parts.map(({ bytes }) => bytes)),
  }
}

test('any range of any file equals that slice, over HTTP and rebuilt from the CAR of the range', async () => {
  await fc.assert(
    fc.asyncProperty(
      cut,
      fc.array(name, { maxLength: 4 }),
      fc.nat(),
      fc.nat(4_000),
      fc.nat(4_000),
      async (shape, segments, seed, from, length) => {
        const { cid, bytes } = addCutFile(shape, seed)
        const root = segments.reduceRight((child, segment) => blocks.addDirectory([[segment, child]]), cid)
        const path = ['/ipfs', root.toString(), ...segments.map(encodeURIComponent)].join('/')
        const expected = bytes.subarray(from, from + length + 1)

        const whole = await ask(gateway.url, path)
        assert.equal(whole.status, 200)
        assert.deepEqual(whole.body, bytes)
        const range = await ask(gateway.url, path, { headers: { range: `bytes=${from}-${from + length}` } })
        assert.equal(range.status, from < bytes.length ? 206 : 416)
        if (from < bytes.length) assert.deepEqual(range.body, expected)

        const car = await ask(gateway.url, `${path}?format=car&entity-bytes=${from}:${from + length}`)
        assert.ok(car.complete)
        const proven = await carBlocks(car.body)
        const found = await resolve(root, segments, proven)
        assert.equal(found.cid.toString(), cid.toString())
        assert.deepEqual(
          Buffer.from(await joined(readFile(cid, proven, { offset: from, length: length + 1 }))),
          expected,
        )
      },
    ),
    { numRuns: 150 },
  )
})
