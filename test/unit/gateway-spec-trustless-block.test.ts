import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { ask, type Answered } from '../support/gateway.ts'
import { openFixtureGateway } from '../support/gateway-fixtures.ts'

/** Blocks of a trustless gateway, and what such a host refuses (leaf trustless-block-gateway). */

const FILE = 'bafkreihhpc5y2pqvl5rbe5uuyhqjouybfs3rvlmisccgzue2kkt5zq6upq'
const DIRECTORY = 'bafybeifaqksygmsbnqe76kwvxoqxtkzcwssq5jkhuo65ldtqiunr3bxlra'
const ABSENT = 'bafkreiegfkwvkh4ts6qwhpsmrbcb7xjjghj3ljpynrsyu73e2qsfpcuvzi'
const RAW = 'application/vnd.ipld.raw'
const CAR = 'application/vnd.ipld.car'

let opened: Awaited<ReturnType<typeof openFixtureGateway>>
before(async () => {
  opened = await openFixtureGateway({ hosts: [{ host: 'blocks.test', class: 'trustless' }] })
})
after(() => opened[Symbol.asyncDispose]())

function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answered> {
  return ask(opened.gateway.url, path, { method, headers: { host: 'blocks.test', ...headers } })
}

test('a block is the same by format and by Accept, with headers that keep a browser from running it', async () => {
  for (const answer of [await get(`/ipfs/${FILE}?format=raw`), await get(`/ipfs/${FILE}`, { accept: RAW })]) {
    assert.equal(answer.status, 200)
    assert.equal(answer.body.length, 31)
    assert.equal(answer.headers['content-type'], RAW)
    assert.equal(answer.headers['content-length'], '31')
    assert.equal(answer.headers['content-disposition'], `attachment; filename="${FILE}.bin"`)
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.equal(answer.headers['x-ipfs-path'], `/ipfs/${FILE}`)
    assert.equal(answer.headers['x-ipfs-roots'], FILE)
    assert.equal(answer.headers['cache-control'], 'public, max-age=29030400, immutable')
  }
})

test('a block can be given a name', async () => {
  const { headers } = await get(`/ipfs/${FILE}?filename=foobar.bin`, { accept: RAW })
  assert.equal(headers['content-disposition'], 'attachment; filename="foobar.bin"')
})

test('the directory block is given, not a listing', async () => {
  assert.equal((await get(`/ipfs/${DIRECTORY}?format=raw`)).body.length, 57)
})

test('one range and several of a block', async () => {
  const whole = (await get(`/ipfs/${FILE}?format=raw`)).body
  const one = await get(`/ipfs/${FILE}`, { accept: RAW, range: 'bytes=3-9' })
  assert.equal(one.status, 206)
  assert.equal(one.headers['content-range'], 'bytes 3-9/31')
  assert.deepEqual(one.body, whole.subarray(3, 10))
  const several = await get(`/ipfs/${FILE}`, { accept: RAW, range: 'bytes=3-9,12-13' })
  assert.equal(several.status, 206)
  assert.match(several.body.toString(), /Content-Range: bytes 3-9\/31[\s\S]*Content-Range: bytes 12-13\/31/)
})

suite('the probe that tells whether a gateway is alive', () => {
  for (const method of ['GET', 'HEAD']) {
    test(`${method} /ipfs/bafkqaaa is an empty block, and a CAR with that root`, async () => {
      const block = await get('/ipfs/bafkqaaa', { accept: RAW }, method)
      assert.equal(block.status, 200)
      assert.equal(block.headers['content-length'], '0')
      const car = await get('/ipfs/bafkqaaa?format=car', {}, method)
      assert.equal(car.status, 200)
      assert.ok((car.headers['content-type'] as string).startsWith(CAR))
      if (method === 'GET') assert.ok(car.body.length > 20)
    })
  }
})

suite('a trustless host', () => {
  test('asks for a format where none is named', async () => {
    assert.equal((await get(`/ipfs/${FILE}`)).status, 400)
    assert.equal((await get(`/ipfs/${FILE}`, { accept: 'text/html' })).status, 400)
  })

  test('gives nothing that a client would have to trust', async () => {
    for (const format of ['tar', 'json', 'dag-json', 'cbor', 'dag-cbor', 'ipns-record']) {
      assert.equal((await get(`/ipfs/${FILE}?format=${format}`)).status, 406, format)
    }
  })

  test('has no content on subdomains', async () => {
    assert.equal((await get('/?format=raw', { host: `${FILE}.ipfs.blocks.test` })).status, 404)
  })

  test('answers 404 for a root that is not there, also of a CAR and to HEAD', async () => {
    for (const format of ['raw', 'car']) {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers } = await get(`/ipfs/${ABSENT}?format=${format}`, {}, method)
        assert.equal(status, 404)
        assert.equal(headers['cache-control'], 'public, max-age=15')
      }
    }
  })

  test('gives the block of a name, and its record', async () => {
    const name = 'k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w'
    assert.equal((await get(`/ipns/${name}?format=raw`)).status, 200)
    assert.equal((await get(`/ipns/${name}?format=ipns-record`)).status, 200)
  })
})
