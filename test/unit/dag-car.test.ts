import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CarReader, CarWriter } from '@ipld/car'
import * as dagCbor from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { IDENTITY, RAW } from '../../services/core/cid.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { MAX_BLOCK_BYTES } from '../../services/core/limits.ts'
import type { Block } from '../../services/dag/fetch-dag.ts'
import { readCar } from '../../services/dag/read-car.ts'
import { varintLength, writeVarint } from '../../services/dag/varint.ts'
import { carHeader, carSize, sectionHead, writeCar } from '../../services/dag/write-car.ts'
import { chunked, cidOf, failsWith, joined, pseudoRandomBytes } from '../support/dag.ts'

const block = (seed: number, length: number): Block => {
  const bytes = pseudoRandomBytes(seed, length)
  return { cid: cidOf(RAW, bytes), bytes }
}
const BLOCKS = [block(1, 10), block(2, 0), block(3, 100_000), block(4, 127)]
const ROOTS = [BLOCKS[0]?.cid as CID]

function section(cid: Uint8Array, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([varint(cid.length + bytes.length), cid, bytes])
}

function varint(value: number): Uint8Array {
  const bytes = new Uint8Array(varintLength(value))
  writeVarint(value, bytes, 0)
  return bytes
}

async function read(bytes: Uint8Array, chunkBytes?: number): Promise<Block[]> {
  const { blocks } = await readCar(chunked(bytes, chunkBytes))
  return Array.fromAsync(blocks, (each) => ({ cid: each.cid, bytes: new Uint8Array(each.bytes) }))
}

test('what is written is what other CAR readers read', async () => {
  const bytes = await joined(writeCar(ROOTS, BLOCKS))
  const reader = await CarReader.fromBytes(bytes)
  assert.deepEqual((await reader.getRoots()).map(String), ROOTS.map(String))
  const blocks = await Array.fromAsync(reader.blocks())
  assert.deepEqual(
    blocks.map(({ cid }) => cid.toString()),
    BLOCKS.map(({ cid }) => cid.toString()),
  )
})

test('what other CAR writers write is read', async () => {
  const { writer, out } = CarWriter.create(ROOTS)
  const bytes = joined(out)
  for (const { cid, bytes: content } of BLOCKS) await writer.put({ cid, bytes: content })
  await writer.close()
  assert.deepEqual(
    (await read(await bytes)).map(({ cid }) => cid.toString()),
    BLOCKS.map(({ cid }) => cid.toString()),
  )
})

test('the size of a CAR is known before it is written', async () => {
  const entries = BLOCKS.map(({ cid, bytes }) => ({ cid, length: bytes.length }))
  assert.equal(carSize(ROOTS, entries), (await joined(writeCar(ROOTS, BLOCKS))).length)
})

test('a CAR reads the same whatever the chunks it comes in', async () => {
  const car = await joined(writeCar(ROOTS, BLOCKS))
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 120_000 }), async (chunkBytes) => {
      assert.deepEqual(await read(car, chunkBytes), BLOCKS)
    }),
    { numRuns: 30, examples: [[1], [7], [65_536]] },
  )
})

test('a CAR may have no blocks and no roots', async () => {
  const { roots, blocks } = await readCar(chunked(carHeader([])))
  assert.deepEqual(roots, [])
  assert.deepEqual(await Array.fromAsync(blocks), [])
})

test('a block that comes again is given again', async () => {
  const twice = [...BLOCKS, ...BLOCKS]
  assert.equal((await read(await joined(writeCar(ROOTS, twice)))).length, 8)
})

test('identity blocks are left out', async () => {
  const cid = CID.createV1(RAW, createDigest(IDENTITY, Buffer.from('inside')))
  const bytes = cid.multihash.digest
  assert.deepEqual(await read(await joined(writeCar([cid], [{ cid, bytes }, ...BLOCKS]))), BLOCKS)
})

test('a CARv2 gives the blocks of the CARv1 inside', async () => {
  const payload = await joined(writeCar(ROOTS, BLOCKS))
  const header = Buffer.alloc(40)
  header.writeBigUInt64LE(BigInt(51 + 13), 16)
  header.writeBigUInt64LE(BigInt(payload.length), 24)
  const pragma = Buffer.from('0aa16776657273696f6e02', 'hex')
  const index = Buffer.from('an index that is not read')
  const car = Buffer.concat([pragma, header, Buffer.alloc(13), payload, index])
  assert.deepEqual(await read(car), BLOCKS)
  assert.deepEqual(await read(car, 1), BLOCKS)
  await assert.rejects(read(car.subarray(0, 100)), failsWith('INVALID_CAR'))
  header.writeBigUInt64LE(2n ** 40n, 16)
  await assert.rejects(read(Buffer.concat([pragma, header, payload])), failsWith('INVALID_CAR'))
})

const HEADER = carHeader(ROOTS)
const headerOf = (value: unknown) => {
  const bytes = dagCbor.encode(value)
  return Buffer.concat([varint(bytes.length), bytes])
}
const HUGE = Buffer.from('ffffffffff7f', 'hex')
const md5 = CID.createV1(RAW, createDigest(0xd5, new Uint8Array(16)))
const short = CID.createV1(RAW, createDigest(0x12, new Uint8Array(4)))
const longIdentity = CID.createV1(RAW, createDigest(IDENTITY, new Uint8Array(129)))
const hugeIdentity = CID.createV1(RAW, createDigest(IDENTITY, new Uint8Array(10_000)))

const BAD: [what: string, bytes: Uint8Array, code: Parameters<typeof failsWith>[0]][] = [
  ['empty', new Uint8Array(0), 'INVALID_CAR'],
  ['three random bytes', new Uint8Array([0x93, 0x1c, 0x07]), 'INVALID_CAR'],
  ['a header of 2^40 bytes', HUGE, 'INVALID_CAR'],
  ['a header that claims 64 MiB', Buffer.concat([varint(64 << 20), new Uint8Array(3)]), 'INVALID_CAR'],
  ['a header of length 0', new Uint8Array([0]), 'INVALID_CAR'],
  ['a header cut off', HEADER.subarray(0, 20), 'INVALID_CAR'],
  ['a header that is no map', headerOf([1]), 'INVALID_CAR'],
  ['a header without roots', headerOf({ version: 1 }), 'INVALID_CAR'],
  ['a header of version 3', headerOf({ version: 3, roots: [] }), 'INVALID_CAR'],
  ['a root that is no CID', headerOf({ version: 1, roots: ['x'] }), 'INVALID_CAR'],
  ['257 roots', headerOf({ version: 1, roots: Array.from({ length: 257 }, () => ROOTS[0]) }), 'INVALID_CAR'],
  ['100,000 nested arrays as its header', Buffer.concat([varint(60_000), Buffer.alloc(60_000, 0x81)]), 'INVALID_CAR'],
  ['a section of length 0', Buffer.concat([HEADER, new Uint8Array([0])]), 'INVALID_CAR'],
  [
    'a section shorter than its CID',
    Buffer.concat([HEADER, varint(20), ROOTS[0]!.bytes.subarray(0, 20)]),
    'INVALID_CAR',
  ],
  [
    'a section that is no CID',
    Buffer.concat([HEADER, section(new Uint8Array(8).fill(0xff), new Uint8Array(8))]),
    'INVALID_CAR',
  ],
  [
    'a section cut off',
    Buffer.concat([HEADER, section(ROOTS[0]!.bytes, BLOCKS[0]!.bytes).subarray(0, 40)]),
    'INVALID_CAR',
  ],
  ['a length cut off', Buffer.concat([HEADER, new Uint8Array([0x80])]), 'INVALID_CAR'],
  ['a section that claims 2 GiB', Buffer.concat([HEADER, varint(2 ** 31)]), 'BLOCK_TOO_LARGE'],
  [
    'bytes that do not match their CID',
    Buffer.concat([HEADER, section(ROOTS[0]!.bytes, Buffer.from('EVIL'))]),
    'HASH_MISMATCH',
  ],
  ['a block under md5', Buffer.concat([HEADER, section(md5.bytes, Buffer.from('x'))]), 'HASH_NOT_ALLOWED'],
  ['a digest of 4 bytes', Buffer.concat([HEADER, section(short.bytes, Buffer.from('x'))]), 'HASH_NOT_ALLOWED'],
  [
    'an identity CID of 129 bytes',
    Buffer.concat([HEADER, section(longIdentity.bytes, new Uint8Array(0))]),
    'HASH_NOT_ALLOWED',
  ],
  [
    'an identity CID of 10,000 bytes',
    Buffer.concat([HEADER, section(hugeIdentity.bytes, new Uint8Array(0))]),
    'HASH_NOT_ALLOWED',
  ],
  ['an identity root of 10,000 bytes', carHeader([hugeIdentity]), 'HASH_NOT_ALLOWED'],
]

for (const [what, bytes, code] of BAD) {
  test(`a CAR with ${what} is refused`, async () => {
    await assert.rejects(read(bytes), failsWith(code))
    await assert.rejects(read(bytes, 1), failsWith(code))
  })
}

test('a block of 2 MiB is taken, one byte more is refused', async () => {
  const largest = block(9, MAX_BLOCK_BYTES)
  assert.equal((await read(await joined(writeCar([], [largest])))).length, 1)
  const larger = block(9, MAX_BLOCK_BYTES + 1)
  await assert.rejects(read(await joined(writeCar([], [larger]))), failsWith('BLOCK_TOO_LARGE'))
})

test('a lying length makes the reader hold nothing: it stops before it reads on', async () => {
  let sent = 0
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.concat([HEADER, varint(2 ** 31)]))
    for (; ; sent++) yield new Uint8Array(65_536)
  }
  await assert.rejects(Array.fromAsync((await readCar(endless())).blocks), failsWith('BLOCK_TOO_LARGE'))
  assert.equal(sent, 0)
})

test('the source is closed when the reader stops early', async () => {
  let closed = false
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of writeCar(ROOTS, BLOCKS)) yield chunk
    } finally {
      closed = true
    }
  }
  for await (const { cid } of (await readCar(source())).blocks) {
    assert.equal(cid.toString(), ROOTS[0]?.toString())
    break
  }
  assert.equal(closed, true)
})

test('a block that is sent 100,000 times is read each time, from bounded memory', async () => {
  const one = block(1, 40)
  const copy = Buffer.concat([sectionHead({ cid: one.cid, length: 40 }), one.bytes])
  const many = Buffer.concat(Array.from({ length: 1_000 }, () => copy))
  async function* source(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(HEADER)
    for (let count = 0; count < 100; count++) yield many
  }
  let seen = 0
  for await (const { bytes } of (await readCar(source())).blocks) seen += bytes.length
  assert.equal(seen, 40 * 100_000)
})

test('a CAR with bytes changed anywhere is read or refused, never anything else', async () => {
  const car = await joined(
    writeCar(
      ROOTS,
      BLOCKS.filter(({ bytes }) => bytes.length < 1_000),
    ),
  )
  const change = fc.record({ at: fc.nat(car.length - 1), to: fc.nat(255) })
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(car.length), async (changes, end) => {
      const changed = new Uint8Array(car)
      for (const { at, to } of changes) changed[at] = to
      await assertExpected(() => read(changed.subarray(0, end)))
      await assertExpected(() => read(changed))
    }),
    { numRuns: 1_000 },
  )
})

async function assertExpected(run: () => Promise<unknown>): Promise<void> {
  try {
    await run()
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error))
  }
}
