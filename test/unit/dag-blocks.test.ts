import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import * as fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { CBOR, DAG_CBOR, DAG_JSON, DAG_PB, JSON_CODEC, RAW } from '../../services/core/cid.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { MAX_BLOCK_BYTES } from '../../services/core/limits.ts'
import { decodeValue } from '../../services/dag/decode-value.ts'
import { linksOf } from '../../services/dag/links.ts'
import { unixfsNode } from '../../services/dag/node.ts'
import { cidOf, encodePb, failsWith, field } from '../support/dag.ts'

const A = cidOf(RAW, Buffer.from('a'))
const B = cidOf(RAW, Buffer.from('b'))

function links(codec: number, bytes: Uint8Array): string[] {
  return linksOf(cidOf(codec, bytes), bytes).map(String)
}

function node(bytes: Uint8Array): ReturnType<typeof unixfsNode> {
  return unixfsNode(cidOf(DAG_PB, bytes), bytes)
}

const unixfs = (...options: ConstructorParameters<typeof UnixFS>) => new UnixFS(...options).marshal()
const link = (Hash: CID, Name = '') => ({ Hash, Name, Tsize: 1 })

test('links are found in DAG-PB, DAG-CBOR and DAG-JSON, in their order, repetitions too', () => {
  const value = { a: [A, { b: B }], c: { d: A } }
  const expected = [A, B, A].map(String)
  assert.deepEqual(links(DAG_PB, encodePb(undefined, [link(A), link(B), link(A)])), expected)
  assert.deepEqual(links(DAG_CBOR, dagCbor.encode(value)), expected)
  assert.deepEqual(links(DAG_JSON, dagJson.encode(value)), expected)
})

test('raw, CBOR and JSON blocks have no links, whatever their bytes', () => {
  for (const codec of [RAW, CBOR, JSON_CODEC]) assert.deepEqual(links(codec, dagCbor.encode({ a: A })), [])
})

test('links do not hold on to the block they were read from', () => {
  const bytes = encodePb(undefined, [link(A)])
  const [found] = linksOf(cidOf(DAG_PB, bytes), bytes)
  assert.notEqual(found?.bytes.buffer, bytes.buffer)
})

test('a map with the keys / and bytes is no CID', () => {
  const bytes = Buffer.from('a2612f0565627974657305', 'hex')
  assert.deepEqual(dagCbor.decode(bytes), { '/': 5, bytes: 5 })
  assert.deepEqual(links(DAG_CBOR, bytes), [])
})

const TWO_DATA = Buffer.concat([field(1, unixfs()), field(1, unixfs())])
const BAD_PB: [what: string, hex: string | Uint8Array][] = [
  ['FF FF FF FF', 'ffffffff'],
  ['wire type 7', '0f01'],
  ['a data length beyond the block', '0affffffff0f'],
  ['two Data fields', TWO_DATA],
  ['a link without Hash', field(2, Buffer.from('1200', 'hex'))],
  ['a link whose Hash is no CID', field(2, field(1, new Uint8Array([1, 2, 3])))],
]

for (const [what, bytes] of BAD_PB) {
  test(`DAG-PB with ${what} is malformed`, () => {
    const block = typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes
    assert.throws(() => links(DAG_PB, block), failsWith('MALFORMED_BLOCK'))
    assert.throws(() => node(block), failsWith('MALFORMED_BLOCK'))
  })
}

test('a block over 2 MiB is refused before it is decoded', () => {
  const bytes = new Uint8Array(MAX_BLOCK_BYTES + 1)
  for (const codec of [DAG_PB, DAG_CBOR, DAG_JSON]) {
    assert.throws(() => linksOf(cidOf(codec, bytes), bytes), failsWith('BLOCK_TOO_LARGE'))
  }
})

const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x81), Buffer.from([0x80])])

test('CBOR and JSON nested 512 deep are read, 513 and 100,000 deep are malformed', () => {
  assert.deepEqual(links(DAG_CBOR, nested(511)), [])
  assert.deepEqual(links(DAG_JSON, Buffer.from('['.repeat(512) + ']'.repeat(512))), [])
  const deeper = [
    nested(513),
    nested(100_000),
    Buffer.alloc(100_000, 0x81),
    Buffer.alloc(100_000, 0xc1),
    Buffer.from('a16161'.repeat(50_000), 'hex'),
  ]
  for (const bytes of deeper) assert.throws(() => links(DAG_CBOR, bytes), failsWith('MALFORMED_BLOCK'))
  for (const text of ['[', '{"a":']) {
    const bytes = Buffer.from(text.repeat(100_000))
    assert.throws(() => links(DAG_JSON, bytes), failsWith('MALFORMED_BLOCK'))
  }
})

test('texts that would take more than linear time to decode are malformed', () => {
  const slow = [
    `{"/":"z${'z'.repeat(1_000_000)}"}`,
    `{"\\u002f" : "z${'z'.repeat(1_000_000)}"}`,
    `[${'9'.repeat(1_000_000)}]`,
  ]
  for (const text of slow) assert.throws(() => links(DAG_JSON, Buffer.from(text)), failsWith('MALFORMED_BLOCK'))
  const fine = Buffer.from(`{"a":"${'z'.repeat(100_000)}","b":{"/":{"bytes":"${'Z'.repeat(40_000)}"}}}`)
  assert.deepEqual(links(DAG_JSON, fine), [])
})

test('CBOR that lies about lengths, or has indefinite ones, is malformed', () => {
  for (const hex of [
    '9bffffffffffffffff',
    '5bffffffffffffffff',
    '9fff',
    'bf6161f6ff',
    'ff',
    '',
    'a1616101a1',
    'd82a00',
  ]) {
    assert.throws(() => links(DAG_CBOR, Buffer.from(hex, 'hex')), failsWith('MALFORMED_BLOCK'), hex)
  }
})

test('keys like __proto__ pollute nothing', () => {
  const bytes = Buffer.concat([
    Buffer.from('a3', 'hex'),
    ...['__proto__', 'toString', 'constructor'].map((key) =>
      Buffer.concat([Buffer.from([0x60 + key.length]), Buffer.from(key), dagCbor.encode({ x: A })]),
    ),
  ])
  expectedOnly(() => decodeValue(cidOf(DAG_CBOR, bytes), bytes))
  const json = Buffer.from('{"__proto__":{"x":1},"constructor":{"x":2}}')
  decodeValue(cidOf(DAG_JSON, json), json)
  assert.equal(({} as Record<string, unknown>)['x'], undefined)
})

test('files, directories, symlinks and DAG-PB without UnixFS are told apart', () => {
  const data = Buffer.from('hello')
  const file = node(encodePb(unixfs({ type: 'file', data }), []))
  assert.deepEqual(file.type === 'file' && [Buffer.from(file.data).toString(), file.size], ['hello', 5])
  assert.equal(node(encodePb(unixfs({ type: 'directory' }), [link(A, 'x')])).type, 'directory')
  const symlink = node(encodePb(unixfs({ type: 'symlink', data: Buffer.from('../../../etc/passwd') }), []))
  assert.equal(symlink.type === 'symlink' && Buffer.from(symlink.target).toString(), '../../../etc/passwd')
  assert.equal(node(encodePb(undefined, [link(A)])).type, 'links')
  assert.equal(node(encodePb(unixfs({ type: 'metadata' }), [])).type, 'links')
  assert.equal(unixfsNode(A, Buffer.from('a')).type, 'file')
})

test('mode and time of last change are read, negative times too', () => {
  const mtime = { secs: -1_000n, nsecs: 5 }
  const file = node(encodePb(unixfs({ type: 'file', mode: 0o750, mtime }), []))
  assert.deepEqual(file.type === 'file' && [file.mode, file.mtime], [0o750, { seconds: -1_000, nanoseconds: 5 }])
})

test('block sizes may be packed', () => {
  const data = Buffer.from([0x08, 0x02, 0x22, 0x02, 0x05, 0x07])
  const file = node(encodePb(data, [link(A), link(B)]))
  assert.deepEqual(file.type === 'file' && [file.childSizes, file.size], [[5, 7], 12])
})

const BAD_DATA: [what: string, bytes: Uint8Array][] = [
  ['no type', new Uint8Array(0)],
  ['an unknown type', new Uint8Array([0x08, 9])],
  ['a field cut off', new Uint8Array([0x08, 2, 0x12, 9, 1])],
  ['block sizes without links', unixfs({ type: 'file', blockSizes: [5n] })],
  ['block sizes beyond counting', new Uint8Array([0x08, 2, 0x20, ...Array.from({ length: 9 }, () => 0xff), 1])],
  ['a HAMT of fanout 0', unixfs({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 0n })],
  ['a HAMT of fanout 3', unixfs({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 3n })],
  ['a HAMT of fanout 2,048', unixfs({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 2_048n })],
  ['a HAMT of fanout 2^40', unixfs({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 2n ** 40n })],
  ['a HAMT without a hash', unixfs({ type: 'hamt-sharded-directory', fanout: 256n })],
  ['a HAMT over another hash', unixfs({ type: 'hamt-sharded-directory', hashType: 0x12n, fanout: 256n })],
  [
    'a HAMT that has bits for links that are not there',
    unixfs({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 256n, data: new Uint8Array([7]) }),
  ],
  [
    'a HAMT with too long a bit field',
    unixfs({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 256n, data: new Uint8Array(33) }),
  ],
]

for (const [what, data] of BAD_DATA) {
  test(`UnixFS with ${what} is malformed`, () => {
    assert.throws(() => node(encodePb(data, [])), failsWith('MALFORMED_BLOCK'))
  })
}

test('links without block sizes are malformed', () => {
  assert.throws(() => node(encodePb(unixfs({ type: 'file' }), [link(A)])), failsWith('MALFORMED_BLOCK'))
})

const SEEDS: [codec: number, bytes: Uint8Array][] = [
  [DAG_PB, encodePb(unixfs({ type: 'file', blockSizes: [5n, 6n] }), [link(A), link(B)])],
  [
    DAG_PB,
    encodePb(unixfs({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 256n, data: new Uint8Array([3]) }), [
      link(A, '00x'),
      link(B, '01'),
    ]),
  ],
  [DAG_CBOR, dagCbor.encode({ a: [A, 1, null, 'text', new Uint8Array(3), -5n], b: { c: B, d: 1.5 } })],
  [DAG_JSON, dagJson.encode({ a: [A, 1, null, 'text', new Uint8Array(3), -5], b: { c: B, d: 1.5 } })],
]

test('blocks with bytes changed anywhere are read or refused, never anything else', () => {
  const change = fc.record({ at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), to: fc.nat(255) })
  fc.assert(
    fc.property(
      fc.constantFrom(...SEEDS),
      fc.array(change, { maxLength: 4 }),
      fc.nat(300),
      ([codec, seed], changes, end) => {
        const bytes = new Uint8Array(seed)
        for (const { at, to } of changes) bytes[Math.floor(at * bytes.length)] = to
        for (const block of [bytes, bytes.subarray(0, end)]) {
          expectedOnly(() => links(codec, block))
          if (codec === DAG_PB) expectedOnly(() => node(block))
        }
      },
    ),
    { numRuns: 5_000 },
  )
})

test('any bytes are read or refused under any codec', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(DAG_PB, DAG_CBOR, DAG_JSON), (bytes, codec) => {
      expectedOnly(() => links(codec, bytes))
      if (codec === DAG_PB) expectedOnly(() => node(bytes))
      expectedOnly(() => node(encodePb(bytes, [])))
    }),
    { numRuns: 5_000 },
  )
})

function expectedOnly(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error))
  }
}
