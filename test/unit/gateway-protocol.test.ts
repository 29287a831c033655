import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { DAG_CBOR, DAG_JSON } from '../../services/core/cid.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, fixtureBlocks, openGateway, type Answered } from '../support/gateway.ts'

const IMMUTABLE = 'public, max-age=29030400, immutable'
const HELLO_IDENTITY = 'bafkqabtimvwgy3yk'

let gateway: Gateway
let blocks: MemoryBlocks
const get = (path: string, headers: Record<string, string> = {}): Promise<Answered> =>
  ask(gateway.url, path, { headers })

function withoutVolatile({ headers, ...rest }: Answered): unknown {
  const { date: _date, 'server-timing': _timing, ...stable } = headers
  return { ...rest, headers: stable }
}

before(async () => {
  ;({ blocks } = await fixtureBlocks(
    'dir_listing/fixtures.car',
    'path_gateway_unixfs/dir-with-files.car',
    'path_gateway_dag/dag-cbor-traversal.car',
    'path_gateway_dag/dag-json-traversal.car',
    'path_gateway_dag/gateway-json-cbor.car',
    'path_gateway_dag/plain-json.car',
    'path_gateway_dag/plain-cbor.car',
  ))
  gateway = await openGateway(blocks)
})
after(() => gateway.close())

async function rootOf(fixture: string): Promise<string> {
  const { roots } = await fixtureBlocks(fixture)
  return (roots[0] as { toString(): string }).toString()
}

suite('a DAG block', () => {
  const dagJson = rootOf('path_gateway_dag/dag-json-traversal.car')
  const dagCbor = rootOf('path_gateway_dag/dag-cbor-traversal.car')

  for (const [codec, root, kind] of [
    ['json', dagJson, 'inline'],
    ['cbor', dagCbor, 'attachment'],
  ] as const) {
    test(`of ${codec} is its own bytes, with the type of its codec or the plain one`, async () => {
      const cid = await root
      const raw = await get(`/ipfs/${cid}?format=raw`)
      for (const [query, type] of [
        ['', `application/vnd.ipld.dag-${codec}`],
        [`?format=dag-${codec}`, `application/vnd.ipld.dag-${codec}`],
        [`?format=${codec}`, `application/${codec}`],
      ] as const) {
        const { status, headers, body } = await get(`/ipfs/${cid}${query}`)
        assert.equal(status, 200)
        assert.equal(headers['content-type'], type)
        assert.equal(headers['content-disposition'], `${kind}; filename="${cid}.${codec}"`)
        assert.deepEqual(body, raw.body)
      }
    })

    test(`of ${codec} is a page for a browser`, async () => {
      const { headers, body } = await get(`/ipfs/${await root}/`, { accept: 'text/html' })
      assert.match(headers.etag as string, /^"DagIndex-/)
      assert.equal(headers['content-disposition'], undefined)
      assert.ok(body.includes('</html>'))
    })

    test(`of ${codec} is walked by its links, and not served by parts`, async () => {
      assert.equal((await get(`/ipfs/${await root}/foo/link/bar`)).status, 200)
      assert.equal((await get(`/ipfs/${await root}/foo`)).status, 501)
      assert.equal((await get(`/ipfs/${await root}/foo/i-do-not-exist`)).status, 404)
    })
  }

  test('is not converted', async () => {
    assert.equal((await get(`/ipfs/${await dagJson}?format=dag-cbor`)).status, 406)
    assert.equal((await get(`/ipfs/${await dagCbor}?format=dag-json`)).status, 406)
    assert.equal((await get(`/ipfs/${await dagCbor}`, { accept: 'application/vnd.ipld.dag-json' })).status, 406)
    const file = `/ipfs/${await rootOf('path_gateway_dag/gateway-json-cbor.car')}/%C4%85/%C4%99/file-%C5%BA%C5%82.txt`
    assert.equal((await get(`${file}?format=dag-json`)).status, 406)
    assert.equal((await get(file, { accept: 'application/json' })).status, 200)
  })

  test('of plain JSON and CBOR keeps its type', async () => {
    for (const codec of ['json', 'cbor']) {
      const { headers } = await get(`/ipfs/${await rootOf(`path_gateway_dag/plain-${codec}.car`)}`)
      assert.equal(headers['content-type'], `application/${codec}`)
    }
  })

  test('with keys of Object.prototype is shown as text and changes nothing', async () => {
    const text = '{"__proto__":{"polluted":"yes"},"constructor":"<b>x</b>","toString":1}'
    const cid = blocks.add(DAG_JSON, Buffer.from(text))
    const { body } = await get(`/ipfs/${cid.toString()}`, { accept: 'text/html' })
    assert.ok(body.includes('&lt;b&gt;x&lt;/b&gt;'))
    assert.equal(({} as { polluted?: string }).polluted, undefined)
  })

  test('nested a hundred thousand times is refused, and the next request answered', async () => {
    const cid = blocks.add(DAG_CBOR, Buffer.alloc(100_001, 0x81).fill(0x01, 100_000))
    for (const suffix of ['', '/0/0', '?format=dag-cbor']) {
      assert.equal((await get(`/ipfs/${cid.toString()}${suffix}`)).status, 422)
    }
    assert.equal((await get('/livez')).status, 200)
  })
})

test('a path that was followed once is not read again', async () => {
  const file = blocks.addRaw(Buffer.from('known'))
  const root = blocks.addDirectory([['a', blocks.addDirectory([['known.txt', file]])]])
  for (const expected of [3, 0]) {
    blocks.reads = []
    assert.equal((await get(`/ipfs/${root.toString()}/a/known.txt`)).body.toString(), 'known')
    assert.equal(blocks.reads.length, expected)
  }
})

suite('HEAD', () => {
  const head = (path: string): Promise<Answered> => ask(gateway.url, path, { method: 'HEAD' })

  test('of a raw block reads nothing, and says what GET does', async () => {
    const leaf = blocks.addRaw(Buffer.from('told by the index'))
    const root = blocks.addDirectory([['told.txt', leaf]])
    for (const path of [
      `/ipfs/${leaf.toString()}?filename=told.txt`,
      `/ipfs/${leaf.toString()}?format=raw`,
      `/ipfs/${root.toString()}/told.txt?download=true`,
    ]) {
      const { headers } = withoutVolatile(await get(path)) as Answered
      blocks.reads = []
      const answer = withoutVolatile(await head(path)) as Answered
      assert.deepEqual(blocks.reads, [], path)
      assert.deepEqual(answer, { status: 200, headers, body: Buffer.alloc(0), complete: true })
    }
  })

  test('of a block that is not there is 404', async () => {
    const gone = new MemoryBlocks().addRaw(Buffer.from('never came'))
    for (const query of ['?filename=gone.txt', '?format=raw']) {
      assert.equal((await head(`/ipfs/${gone.toString()}${query}`)).status, 404)
    }
  })
})

suite('conditional requests', () => {
  test('by the tag of a root are answered without reading a block', async () => {
    const cid = blocks.addRaw(Buffer.from('unread'))
    blocks.reads = []
    const { status, headers, body } = await get(`/ipfs/${cid.toString()}`, { 'if-none-match': `W/"${cid.toString()}"` })
    assert.equal(status, 304)
    assert.equal(headers.etag, `"${cid.toString()}"`)
    assert.equal(headers['cache-control'], IMMUTABLE)
    assert.equal(body.length, 0)
    assert.deepEqual(blocks.reads, [])
  })

  test('under a path are answered without reading what it leads to', async () => {
    const leaf = blocks.addRaw(Buffer.from('unread below'))
    const root = blocks.addDirectory([['unread.txt', leaf]])
    const path = `/ipfs/${root.toString()}/unread.txt`
    const { headers: whole } = await get(path)
    blocks.delete(leaf)
    const { status, headers } = await get(path, { 'if-none-match': whole.etag ?? '' })
    assert.equal(status, 304)
    for (const name of ['etag', 'cache-control', 'x-ipfs-path', 'x-ipfs-roots']) {
      assert.equal(headers[name], whole[name], name)
    }
  })

  test('by wildcard need the content to be there', async () => {
    const cid = blocks.addRaw(Buffer.from('here'))
    const gone = new MemoryBlocks().addRaw(Buffer.from('not here'))
    assert.equal((await get(`/ipfs/${cid.toString()}`, { 'if-none-match': '*' })).status, 304)
    assert.equal((await get(`/ipfs/${gone.toString()}`, { 'if-none-match': '*' })).status, 404)
  })

  test('are judged before ranges', async () => {
    const cid = blocks.addRaw(Buffer.from('short')).toString()
    const headers = { 'if-none-match': `"${cid}"`, range: 'bytes=999-' }
    assert.equal((await get(`/ipfs/${cid}`, headers)).status, 304)
    const root = blocks.addDirectory([['short.txt', CID.parse(cid)]])
    assert.equal((await get(`/ipfs/${root.toString()}/short.txt`, headers)).status, 304)
  })

  test('do not turn a redirect into something else', async () => {
    const dir = blocks.addDirectory([])
    assert.equal((await get(`/ipfs/${dir.toString()}`, { 'if-none-match': '*' })).status, 301)
  })

  test('for only what is cached are refused when it is not on this node', async () => {
    const cid = blocks.addRaw(Buffer.from('on disk'))
    const gone = new MemoryBlocks().addRaw(Buffer.from('elsewhere'))
    const headers = { 'cache-control': 'only-if-cached' }
    for (const method of ['GET', 'HEAD']) {
      assert.equal((await ask(gateway.url, `/ipfs/${cid.toString()}`, { method, headers })).status, 200)
      assert.equal((await ask(gateway.url, `/ipfs/${gone.toString()}`, { method, headers })).status, 412)
    }
  })
})

test('an answer says that it depends on Accept, so that no cache gives a CAR to a browser', async () => {
  for (const path of [`/ipfs/${HELLO_IDENTITY}`, `/ipfs/${HELLO_IDENTITY}?format=car`, '/ipfs/none']) {
    assert.equal((await get(path)).headers.vary, 'Accept')
  }
})

suite('HEAD', () => {
  test('has the headers of GET, and no body', async () => {
    const file = `/ipfs/${await rootOf('path_gateway_unixfs/dir-with-files.car')}/ascii.txt`
    const dir = `/ipfs/${await rootOf('dir_listing/fixtures.car')}/`
    const missing = new MemoryBlocks().addRaw(Buffer.from('missing')).toString()
    const paths = [
      file,
      `${file}?format=raw`,
      `${file}?format=car`,
      dir,
      dir.slice(0, -1),
      `/ipfs/${missing}?format=car`,
    ]
    for (const path of paths) {
      const [head, whole] = await Promise.all([ask(gateway.url, path, { method: 'HEAD' }), get(path)])
      const { 'transfer-encoding': _encoding, ...expected } = whole.headers
      assert.deepEqual(
        withoutVolatile(head),
        withoutVolatile({ ...whole, headers: expected, body: Buffer.alloc(0) }),
        path,
      )
    }
  })

  test('of a large file reads its first block alone when the name tells the type', async () => {
    const leaves = [1, 2, 3].map((byte) => blocks.addRaw(Buffer.alloc(1_000, byte)))
    const file = blocks.addFileNode(leaves, [1_000, 1_000, 1_000])
    blocks.reads = []
    const path = `/ipfs/${file.toString()}?filename=a.png`
    const { headers } = await ask(gateway.url, path, { method: 'HEAD' })
    assert.equal(headers['content-length'], '3000')
    assert.deepEqual(blocks.reads.map(String), [file.toString()])
  })
})

suite('failures', () => {
  test('are a code and a sentence', async () => {
    const { status, headers, body } = await get('/ipfs/QmInvalidCID')
    assert.equal(status, 400)
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
    assert.match(body.toString(), /^INVALID_CID: invalid path "\/ipfs\/QmInvalidCID": .*\.\n$/)
  })

  test('are JSON for who asks for that', async () => {
    const { headers, body } = await get('/ipfs/QmInvalidCID', { accept: 'application/json' })
    assert.equal(headers['content-type'], 'application/json')
    const { error } = JSON.parse(body.toString()) as { error: { reason: string; details: string } }
    assert.equal(error.reason, 'INVALID_CID')
    assert.match(error.details, /invalid path "\/ipfs\/QmInvalidCID"/)
  })

  test('are a page for a browser, in which nothing of the request runs', async () => {
    const { headers, body } = await get('/ipfs/%3Cscript%3Ealert(1)%3C%2Fscript%3E', { accept: 'text/html' })
    assert.equal(headers['content-type'], 'text/html')
    assert.match(headers['content-security-policy'] as string, /^default-src 'none'/)
    assert.ok(!body.includes('<script'))
  })

  for (const [what, path, status] of [
    ['content that is nowhere', `/ipfs/${new MemoryBlocks().addRaw(Buffer.from('nowhere')).toString()}`, 404],
    [
      'a CAR of content that is nowhere',
      `/ipfs/${new MemoryBlocks().addRaw(Buffer.from('nowhere')).toString()}?format=car`,
      404,
    ],
    ['a path below a file', `/ipfs/${HELLO_IDENTITY}/x`, 404],
    ['a name record under /ipfs', `/ipfs/${HELLO_IDENTITY}?format=ipns-record`, 400],
    ['a CID of a hash that is not allowed', '/ipfs/bafkbaghukkdghjt6gqvi7ex5hbyjnxi', 400],
    ['something else', '/favicon.ico', 404],
  ] as const) {
    test(`of ${what} are ${status}, and not kept for long`, async () => {
      const answer = await get(path)
      assert.equal(answer.status, status)
      assert.ok(['no-store', 'public, max-age=15'].includes(answer.headers['cache-control'] as string))
      assert.equal(answer.headers.etag, undefined)
    })
  }

  test('name the segment that is not there', async () => {
    const { body } = await get(`/ipfs/${await rootOf('dir_listing/fixtures.car')}/i-do-not-exist`)
    assert.match(body.toString(), /No link named .*i-do-not-exist/)
  })

  test('of other methods say which ones there are', async () => {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const { status, headers } = await ask(gateway.url, `/ipfs/${HELLO_IDENTITY}`, { method })
      assert.equal(status, 405)
      assert.equal(headers.allow, 'GET, HEAD, OPTIONS')
    }
  })

  test('of headers beyond 16 KiB are 431', async () => {
    assert.equal((await get(`/ipfs/${HELLO_IDENTITY}`, { 'x-long': 'a'.repeat(20_000) })).status, 431)
  })
})

test('OPTIONS tells browsers what pages of other origins may do', async () => {
  const { status, headers } = await ask(gateway.url, `/ipfs/${HELLO_IDENTITY}`, { method: 'OPTIONS' })
  assert.equal(status, 204)
  assert.equal(headers['access-control-allow-methods'], 'GET, HEAD, OPTIONS')
  for (const name of ['Content-Range', 'Content-Length', 'X-Ipfs-Path', 'X-Ipfs-Roots']) {
    assert.ok((headers['access-control-expose-headers'] as string).includes(name))
  }
})
