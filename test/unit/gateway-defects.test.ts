import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { suite, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { create as createMultihash } from 'multiformats/hashes/digest'
import { IDENTITY, RAW } from '../../services/core/cid.ts'
import { carCids, openGateway } from '../support/gateway.ts'
import { fixtureSite } from '../support/fixture-site.ts'

/** What other gateways on Node were measured to do wrong (research of this project, section 4.1): none of it here. */

const DAG_JSON = 'baguqeeram5ujjqrwheyaty3w5gdsmoz6vittchvhk723jjqxk7hakxkd47xq'
const SYMLINK = 'QmWvY6FaqFMS89YAQ9NAPjVP4WZKA1qbHbicc9HeSKQTgt'
const MISSING_CHILD = 'QmYhmPjhFjYFyaoiuNzYv8WGavpSRDwdHWe5B4M5du5Rtk'
const DUPLICATES = 'bafybeihchr7vmgjaasntayyatmp5sv6xza57iy2h4xj7g46bpjij6yhrmy'
const V2_ONLY = 'k51qzi5uqu5dit2ku9mutlfgwyz8u730on38kd10m97m36bjt66my99hb6103f'
const PAGE = Buffer.from(`<!doctype html><p>${'x'.repeat(1_000)}</p>`)
const site = fixtureSite()

function addPage(): string {
  return `/ipfs/${site.blocks.addDirectory([['page.html', site.blocks.addRaw(PAGE)]]).toString()}/page.html`
}

suite('ranges', () => {
  test('behind the end are clamped, not refused', async () => {
    for (const range of ['bytes=0-999999', 'bytes=-5000']) {
      const { status, body } = await site.get(addPage(), { range })
      assert.equal(status, 206)
      assert.deepEqual(body, PAGE)
    }
  })

  test('have the type of the whole', async () => {
    const { headers } = await site.get(addPage(), { range: 'bytes=5-9' })
    assert.equal(headers['content-type'], 'text/html')
  })

  test('of two parts have the length that they say', async () => {
    const { headers, body, complete } = await site.get(addPage(), { range: 'bytes=0-1,5-9' })
    assert.ok(complete)
    assert.equal(headers['content-length'], String(body.length))
  })
})

test('?download=true saves', async () => {
  const { headers } = await site.get(`${addPage()}?download=true`)
  assert.equal(headers['content-disposition'], 'attachment; filename="page.html"')
})

test('a symlink has as many bytes as it says', async () => {
  const { headers, body, complete } = await site.get(`/ipfs/${SYMLINK}/bar`)
  assert.ok(complete)
  assert.equal(headers['content-length'], '3')
  assert.equal(body.toString(), 'foo')
})

suite('a CAR', () => {
  test('of a missing root is 404, and not kept', async () => {
    const missing = site.blocks.addRaw(Buffer.from('soon missing'))
    site.blocks.delete(missing)
    const { status, headers } = await site.get(`/ipfs/${missing.toString()}?format=car`)
    assert.equal(status, 404)
    assert.ok(!(headers['cache-control'] ?? '').includes('immutable'))
  })

  test('that lacks a block ends by a reset, and the gateway goes on', async () => {
    const { status, complete } = await site.get(`/ipfs/${MISSING_CHILD}?format=car`)
    assert.ok(status === 200 || status === 0)
    assert.equal(complete, false)
    assert.equal((await site.get('/livez')).status, 200)
  })

  test('has a tag for each selection, and another than the file', async () => {
    const queries = ['', '&dag-scope=block', '&dag-scope=entity', '&entity-bytes=0:5', '&car-dups=y']
    const path = `/ipfs/${DUPLICATES}/ascii.txt`
    const answers = await Promise.all(queries.map((query) => site.get(`${path}?format=car${query}`)))
    const tags = [...answers, await site.get(path)].map(({ headers }) => headers.etag)
    assert.equal(new Set(tags).size, queries.length + 1)
  })

  test('holds each block once unless the URL asks for more, and the URL wins over Accept', async () => {
    const once = await site.get(`/ipfs/${DUPLICATES}?format=car`)
    assert.match(once.headers['content-type'] as string, /dups=n/)
    const accept = 'application/vnd.ipld.car; dups=n'
    const repeated = await site.get(`/ipfs/${DUPLICATES}?format=car&car-dups=y&car-order=dfs`, { accept })
    assert.match(repeated.headers['content-type'] as string, /order=dfs; dups=y/)
    assert.ok((await carCids(repeated.body)).length > (await carCids(once.body)).length)
  })

  test('of impossible bytes is 400, without a stack', async () => {
    for (const range of ['x:y', '10:5', '']) {
      const { status, body } = await site.get(`/ipfs/${DUPLICATES}/ascii.txt?format=car&entity-bytes=${range}`)
      assert.equal(status, 400, range)
      assert.ok(!/\bat \S+:\d+|node_modules|services\//.test(body.toString()))
    }
  })
})

suite('failures', () => {
  for (const [what, path, headers, status] of [
    ['416', `/ipfs/${DUPLICATES}/ascii.txt`, { range: 'bytes=99-' }, 416],
    ['406', `/ipfs/${DAG_JSON}?format=dag-cbor`, {}, 406],
    ['502', '/ipns/nothing.example.org', {}, 502],
    ['400', '/ipfs/nonsense', {}, 400],
    ['501', `/ipfs/${DAG_JSON}/foo`, {}, 501],
  ] as const) {
    test(`with ${what} are not kept, have no tag and show nothing of the program`, async () => {
      const answer = await site.get(path, headers)
      assert.equal(answer.status, status)
      assert.equal(answer.headers['cache-control'], 'no-store')
      assert.equal(answer.headers.etag, undefined)
      assert.ok(!/\bat \S+:\d+|node_modules|services\//.test(answer.body.toString()))
      assert.ok(answer.body.length < 500)
    })
  }
})

suite('_redirects', () => {
  test('rules match whole paths', async () => {
    const rules = site.blocks.addRaw(Buffer.from('/old /new'))
    const root = site.blocks.addDirectory([['_redirects', rules]])
    assert.equal((await site.on(`${root.toString()}.ipfs`, '/x/older')).status, 404)
  })

  test('with 410 have the page as body', async () => {
    const { status, body } = await site.get('/gone/x', { host: 'dnslink-redirects-examples.example.org' })
    assert.equal(status, 410)
    assert.match(body.toString(), /my 410/)
  })
})

test('a record of version 2 alone is kept for as long as it says', async () => {
  assert.equal((await site.get(`/ipns/${V2_ONLY}`)).headers['cache-control'], 'public, max-age=1800')
})

test('other methods are 405', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const { status, headers } = await site.get(addPage(), {}, method)
    assert.equal(status, 405)
    assert.equal(headers.allow, 'GET, HEAD, OPTIONS')
  }
})

test('a directory is a page for a browser and for everybody else', async () => {
  for (const accept of ['text/html', '*/*']) {
    const { status, headers } = await site.get(`/ipfs/${SYMLINK}/`, { accept })
    assert.equal(status, 200)
    assert.equal(headers['content-type'], 'text/html')
  }
})

test('a CID that holds more than 128 bytes is 400, one of 128 is served', async () => {
  const cidHolding = (bytes: number): string =>
    CID.createV1(RAW, createMultihash(IDENTITY, new Uint8Array(bytes))).toString()
  assert.equal((await site.get(`/ipfs/${cidHolding(129)}`)).status, 400)
  assert.equal((await site.get(`/ipfs/${cidHolding(128)}`)).body.length, 128)
})

test('a request whose headers never end is closed soon after its time, not when Node looks next', async () => {
  await using gateway = await openGateway(site.blocks, { settings: { headersTimeoutMs: 100 } })
  const { hostname, port } = new URL(gateway.url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write('GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ')
  socket.resume()
  await once(socket, 'close', { signal: AbortSignal.timeout(20_000) })
})
