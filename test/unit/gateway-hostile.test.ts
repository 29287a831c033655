import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { DAG_PB } from '../../services/core/cid.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { addBomb, addChain, encodePb, field, MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway, type Answered } from '../support/gateway.ts'

const MIB = 1_048_576

let gateway: Gateway
const blocks = new MemoryBlocks()

before(async () => {
  gateway = await openGateway(blocks, { settings: { maxAnswerBytes: 4 * MIB } })
})
after(() => gateway.close())

const get = (cid: CID, suffix = '', headers: Record<string, string> = {}): Promise<Answered> =>
  ask(gateway.url, `/ipfs/${cid.toString()}${suffix}`, { headers })

function reasonOf({ body }: Answered): string {
  return body.toString().split(':', 1)[0] ?? ''
}

suite('a malformed DAG-PB block', () => {
  const data = new UnixFS({ type: 'file', data: Buffer.from('x') }).marshal()
  for (const [what, bytes] of [
    ['of no protobuf', Buffer.from('ffffffff', 'hex')],
    ['with wire type 7', Buffer.from('0f01', 'hex')],
    ['whose data is longer than itself', Buffer.from('0affffffff0f', 'hex')],
    ['with two data fields', Buffer.concat([field(1, data), field(1, data)])],
    ['with a link that has no hash', field(2, field(2, Buffer.from('name')))],
    ['with a UnixFS message of no type', encodePb(Buffer.from('1001', 'hex'), [])],
  ] as const) {
    test(`${what} is 422, also under a path`, async () => {
      const cid = blocks.add(DAG_PB, bytes)
      const answer = await get(cid)
      assert.equal(answer.status, 422)
      assert.equal(reasonOf(answer), 'MALFORMED_BLOCK')
      assert.match(answer.body.toString(), /malformed DAG-PB/)
      assert.equal((await get(cid, '/a')).status, 422)
    })
  }
})

suite('a malformed HAMT', () => {
  const shard = (fields: { fanout?: number | bigint; hash?: number }): CID => {
    const parts = [0x08, 0x05]
    if (fields.hash !== undefined) parts.push(0x28, fields.hash)
    if (fields.fanout !== undefined) parts.push(0x30, ...varint(BigInt(fields.fanout)))
    return blocks.addPb(Buffer.from(parts))
  }
  for (const [what, fields] of [
    ['fanout 2^40', { fanout: 2n ** 40n, hash: 0x22 }],
    ['fanout 3', { fanout: 3, hash: 0x22 }],
    ['fanout 0', { fanout: 0, hash: 0x22 }],
    ['no fanout', { hash: 0x22 }],
    ['no hash type', { fanout: 256 }],
  ] as const) {
    test(`of ${what} is 422, listed or walked`, async () => {
      for (const suffix of ['/', '/name', '/index.html?format=car']) {
        const answer = await get(shard(fields), suffix)
        assert.equal(answer.status, 422)
        assert.match(answer.body.toString(), /HAMT/)
      }
    })
  }
})

suite('a file that lies about its size', () => {
  test('never ends as if it were whole', async () => {
    const leaf = blocks.addRaw(Buffer.alloc(262_144, 7))
    for (const claim of [1e12, 262_145, 262_143]) {
      const answer = await get(blocks.addFileNode([leaf], [claim]))
      assert.ok(!answer.complete || answer.status >= 400, `${claim}: ${answer.status}`)
      assert.notEqual(answer.status, 200)
    }
  })

  test('in a later block breaks off inside', async () => {
    const leaf = blocks.addRaw(Buffer.alloc(262_144, 7))
    const answer = await get(blocks.addFileNode([leaf, leaf], [262_144, 300_000]), '?filename=a.bin')
    assert.equal(answer.complete, false)
  })

  test('is not believed for a range either', async () => {
    const leaf = blocks.addRaw(Buffer.alloc(1_000, 7))
    const answer = await get(blocks.addFileNode([leaf], [1e12]), '', { range: 'bytes=999999-1000000' })
    assert.ok(answer.status === 422 || !answer.complete)
  })

  test('beyond counting is malformed', async () => {
    const leaf = blocks.addRaw(Buffer.alloc(10, 7))
    const cid = blocks.addFileNode([leaf, leaf], [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER])
    assert.equal((await get(cid)).status, 422)
  })
})

suite('a chain of 20,000 nodes', () => {
  test('is refused after as many reads as a DAG may be deep', async () => {
    const top = addChain(blocks, 20_000)
    for (const suffix of ['', '?format=car']) {
      blocks.reads = []
      const answer = await get(top, suffix)
      assert.ok(answer.status === 422 || !answer.complete)
      assert.ok(blocks.reads.length <= 1_100, `${blocks.reads.length} reads`)
    }
    assert.equal(reasonOf(await get(top)), 'DAG_TOO_DEEP')
  })
})

suite('a DAG of few blocks that claims more than there is in the world', () => {
  test('is refused whole, and gives ranges', async () => {
    const leaf = blocks.addRaw(Buffer.alloc(1_000, 1))
    let [top, size] = [leaf, 1_000]
    for (let level = 0; level < 4; level++) {
      top = blocks.addFileNode(repeated(174, top), repeated(174, size))
      size *= 174
    }
    assert.equal((await get(top)).status, 413)
    const range = await get(top, '', { range: `bytes=${size - 10}-` })
    assert.equal(range.status, 206)
    assert.deepEqual(range.body, Buffer.alloc(10, 1))
  })

  test('is refused as TAR, and leaves others their turn when it is read with all its repetitions', async () => {
    const bomb = addBomb(blocks).toString()
    await using open = await openGateway(blocks, { settings: { maxAnswerBytes: 64 ** 9 } })
    assert.equal((await ask(gateway.url, `/ipfs/${bomb}?format=tar`)).status, 413)
    for (const query of ['format=tar', 'format=car&car-dups=y']) {
      const leave = new AbortController()
      const response = await fetch(`${open.url}/ipfs/${bomb}?${query}`, { signal: leave.signal })
      assert.equal(response.status, 200)
      assert.equal((await ask(open.url, '/ipfs/bafkqaaa')).status, 200)
      leave.abort()
    }
  })

  test('is cut at the limit of one answer when repetitions are asked for', async () => {
    const bomb = addBomb(blocks).toString()
    await using narrow = await openGateway(blocks, { settings: { maxAnswerBytes: MIB / 4 } })
    const { complete, body } = await ask(narrow.url, `/ipfs/${bomb}?format=car&car-dups=y`)
    assert.equal(complete, false)
    assert.ok(body.length <= MIB / 4)
  })
})

suite('a block', () => {
  test('larger than 2 MiB is refused', async () => {
    const cid = blocks.addRaw(Buffer.alloc(2 * MIB + 1))
    for (const suffix of ['', '?format=raw', '?format=car']) {
      const { status } = await get(cid, suffix)
      assert.ok(status >= 400 && status < 500, String(status))
    }
  })

  test('inside a CID of more than 128 bytes is refused', async () => {
    const { status } = await ask(gateway.url, `/ipfs/f0155008101${'00'.repeat(129)}`)
    assert.equal(status, 400)
  })
})

function repeated<T>(times: number, value: T): T[] {
  return Array.from({ length: times }, () => value)
}

function varint(value: bigint): number[] {
  return value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)]
}
