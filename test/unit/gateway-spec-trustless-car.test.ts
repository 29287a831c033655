import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { DAG_CBOR } from '../../services/core/cid.ts'
import { listDirectory } from '../../services/dag/list-directory.ts'
import { resolve } from '../../services/dag/resolve.ts'
import { walk } from '../../services/dag/walk.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { addBomb, type MemoryBlocks } from '../support/dag.ts'
import { ask, carCids, fixtureBlocks, openGateway, type Answered } from '../support/gateway.ts'

const FIXTURES = [
  'trustless_gateway_car/subdir-with-two-single-block-files.car',
  'trustless_gateway_car/subdir-with-mixed-block-files.car',
  'trustless_gateway_car/single-layer-hamt-with-multi-block-files.car',
  'trustless_gateway_car/dir-with-dag-cbor-with-links.car',
  'trustless_gateway_car/dir-with-duplicate-files.car',
  'trustless_gateway_car/file-3k-and-3-blocks-missing-block.car',
] as const

let gateway: Gateway
let blocks: MemoryBlocks
const roots: CID[] = []

before(async () => {
  ;({ blocks } = await fixtureBlocks(...FIXTURES))
  for (const name of FIXTURES) roots.push((await fixtureBlocks(name)).roots[0] as CID)
  gateway = await openGateway(blocks)
})
after(() => gateway.close())

const get = (path: string, headers: Record<string, string> = {}): Promise<Answered> =>
  ask(gateway.url, path, { headers })

/** CIDs of the blocks that a CAR request answers. */
async function carOf(path: string, query = ''): Promise<string[]> {
  const byUrl = await get(`${path}?format=car${query === '' ? '' : `&${query}`}`)
  assert.equal(byUrl.status, 200)
  assert.ok(byUrl.complete)
  const byAccept = await get(`${path}${query === '' ? '' : `?${query}`}`, { accept: 'application/vnd.ipld.car' })
  assert.deepEqual(byAccept.body, byUrl.body)
  return carCids(byUrl.body)
}

const at = (index: number, ...segments: string[]): string => ['/ipfs', String(roots[index]), ...segments].join('/')

/** The blocks of the path and then the whole DAG at its end, as the walks of `dag` give them. */
async function expected(index: number, segments: string[]): Promise<{ proof: string[]; below: string[] }> {
  const { cid, proof } = await resolve(roots[index] as CID, segments, blocks)
  return { proof: proof.map((block) => String(block.cid)), below: await below(cid) }
}

function below(cid: CID): Promise<string[]> {
  return Array.fromAsync(walk(cid, blocks), (entry) => String(entry.cid))
}

suite('a CAR', () => {
  for (const [index, segments] of [
    [0, ['subdir', 'ascii.txt']],
    [0, ['subdir']],
    [1, ['subdir', 'multiblock.txt']],
    [1, ['subdir']],
    [2, ['685.txt']],
    [2, ['1.txt']],
    [4, []],
  ] as const) {
    test(`of /${segments.join('/')} in ${FIXTURES[index].slice(22)} is the path's blocks and all below its end`, async () => {
      const { proof, below } = await expected(index, [...segments])
      assert.deepEqual(await carOf(at(index, ...segments)), [...proof, ...below])
      assert.deepEqual(await carOf(at(index, ...segments), 'dag-scope=all'), [...proof, ...below])
      assert.deepEqual(await carOf(at(index, ...segments), 'dag-scope=block'), [...proof, below[0]])
    })
  }

  test('of one entity holds a file whole, and of a directory what lists it', async () => {
    const file = await expected(1, ['subdir', 'multiblock.txt'])
    assert.deepEqual(await carOf(at(1, 'subdir', 'multiblock.txt'), 'dag-scope=entity'), [...file.proof, ...file.below])
    const directory = await expected(0, ['subdir'])
    assert.deepEqual(await carOf(at(0, 'subdir'), 'dag-scope=entity'), [...directory.proof, directory.below[0]])
  })

  test('of a HAMT directory as one entity holds all its shards and none of its files', async () => {
    const cids = await carOf(at(2), 'dag-scope=entity')
    const files = await Array.fromAsync(listDirectory(roots[2] as CID, blocks), ({ cid }) => String(cid))
    assert.equal(cids[0], String(roots[2]))
    assert.ok(cids.length > 1)
    assert.deepEqual(
      cids.filter((cid) => files.includes(cid)),
      [],
    )
    assert.deepEqual(await carOf(at(2), 'dag-scope=entity&entity-bytes=0:*'), cids)
  })

  test('follows links from a UnixFS directory through DAG-CBOR', async () => {
    const documented = blocks.blocks().find(({ cid }) => cid.code === DAG_CBOR) as { cid: CID }
    const { cid, proof } = await resolve(documented.cid, ['files', 'single'], blocks)
    const cids = await carOf(`/ipfs/${documented.cid.toString()}/files/single`)
    assert.deepEqual(cids, [...proof.map((block) => String(block.cid)), ...(await below(cid))])
    assert.deepEqual(await carOf(`/ipfs/${documented.cid.toString()}`, 'dag-scope=entity'), [String(documented.cid)])
  })

  for (const [bytes, from, to] of [
    ['0:*', 0, 5],
    ['512:*', 2, 5],
    ['512:1023', 2, 4],
    ['512:-256', 2, 4],
    ['-5:*', 3, 5],
    ['-9999:*', 0, 5],
    ['-9999:-3', 0, 4],
    ['0:0', 0, 1],
    ['5000:*', 0, 0],
    ['5000:6000', 0, 0],
  ] as const) {
    test(`with entity-bytes=${bytes} of a file in five blocks has the least that shows those bytes`, async () => {
      const { proof, below: whole } = await expected(1, ['subdir', 'multiblock.txt'])
      const [root, ...leaves] = whole
      const wanted = [...proof, root, ...leaves.slice(from, to)]
      assert.deepEqual(await carOf(at(1, 'subdir', 'multiblock.txt'), `dag-scope=entity&entity-bytes=${bytes}`), wanted)
    })
  }

  test('of a range needs none of the blocks outside of it', async () => {
    const leaf = {
      first: 'QmPKt7ptM2ZYSGPUc8PmPT2VBkLDK3iqpG9TBJY7PCE9rF',
      last: 'QmWXY482zQdwecnfBsj78poUUuPXvyw2JAFAEMw4tzTavV',
    }
    assert.deepEqual(await carOf(at(5), 'entity-bytes=0:1000'), [String(roots[5]), leaf.first])
    assert.deepEqual(await carOf(at(5), 'entity-bytes=2200:*'), [String(roots[5]), leaf.last])
  })

  test('repeats blocks only when that is asked for', async () => {
    const once = await carOf(at(4))
    const twice = await carOf(at(4), 'car-dups=y')
    assert.equal(new Set(once).size, once.length)
    assert.deepEqual([...new Set(twice)], once)
    assert.ok(twice.length > once.length)
    const { headers } = await get(at(4), { accept: 'application/vnd.ipld.car; version=1; order=dfs; dups=y' })
    assert.equal(headers['content-type'], 'application/vnd.ipld.car; version=1; order=dfs; dups=y')
  })

  test('never holds what is inside a CID', async () => {
    const text = await carOf('/ipfs/bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa', 'car-dups=y')
    assert.deepEqual(text, [])
    assert.deepEqual(await carOf('/ipfs/bafkqaaa'), [])
  })

  test('says what it is, and has a tag for each selection', async () => {
    const { headers } = await get(`${at(1)}?format=car`)
    assert.equal(headers['content-type'], 'application/vnd.ipld.car; version=1; order=dfs; dups=n')
    assert.equal(headers['content-disposition'], `attachment; filename="${String(roots[1])}.car"`)
    assert.equal(headers['accept-ranges'], 'none')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    const queries = [
      '',
      '&dag-scope=block',
      '&dag-scope=entity',
      '&entity-bytes=0:1',
      '&entity-bytes=0:2',
      '&car-dups=y',
    ]
    const tags = await Promise.all(
      queries.map(async (query) => (await get(`${at(1)}?format=car${query}`)).headers.etag),
    )
    assert.equal(new Set(tags).size, queries.length)
    const again = await get(`${at(1)}?format=car`, { 'if-none-match': headers.etag as string })
    assert.equal(again.status, 304)
  })

  test('of a missing path is 404, and of a missing root too', async () => {
    assert.equal((await get(`${at(0, 'subdir', 'i-do-not-exist')}?format=car`)).status, 404)
    const gone = blocks.addFileNode([], [])
    blocks.delete(gone)
    for (const method of ['GET', 'HEAD']) {
      assert.equal((await ask(gateway.url, `/ipfs/${gone.toString()}?format=car`, { method })).status, 404)
    }
  })

  test('that lacks a block on the way is broken off, and the gateway lives on', async () => {
    const { complete } = await get(`${at(5)}?format=car`)
    assert.equal(complete, false)
    assert.equal((await get('/livez')).status, 200)
  })

  test('of a DAG without end in size holds its few blocks once', async () => {
    const bomb = addBomb(blocks)
    blocks.reads = []
    assert.equal((await carOf(`/ipfs/${bomb.toString()}`)).length, 9)
    assert.ok(blocks.reads.length <= 200, `${blocks.reads.length} reads`)
  })
})
