import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { Gateway } from '../../services/gateway/server.ts'
import type { MemoryBlocks } from '../support/dag.ts'
import { ask, fixtureBlocks, openGateway, type Answered } from '../support/gateway.ts'

const IMMUTABLE = 'public, max-age=29030400, immutable'
const HELLO_IDENTITY = 'bafkqabtimvwgy3yk'

let gateway: Gateway
let blocks: MemoryBlocks
const get = (path: string, headers: Record<string, string> = {}): Promise<Answered> =>
  ask(gateway.url, path, { headers })

before(async () => {
  ;({ blocks } = await fixtureBlocks(
    'dir_listing/fixtures.car',
    'gateway-cache/fixtures.car',
    'gateway-raw-block.car',
    'path_gateway_unixfs/dir-with-files.car',
    'path_gateway_unixfs/dir-with-percent-encoded-filename.car',
    'path_gateway_unixfs/symlink.car',
    'trustless_gateway_car/file-3k-and-3-blocks-missing-block.car',
  ))
  gateway = await openGateway(blocks)
})
after(() => gateway.close())

async function rootOf(fixture: string): Promise<string> {
  const { roots } = await fixtureBlocks(fixture)
  return (roots[0] as { toString(): string }).toString()
}

suite('a file', () => {
  const dir = rootOf('path_gateway_unixfs/dir-with-files.car')

  test('is answered whole, with what a client may keep of it', async () => {
    const path = `/ipfs/${await dir}/ascii.txt`
    const { status, headers, body } = await get(path)
    assert.equal(status, 200)
    assert.equal(body.toString(), 'hello application/vnd.ipld.car\n')
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
    assert.equal(headers['content-length'], '31')
    assert.equal(headers['accept-ranges'], 'bytes')
    assert.equal(headers['cache-control'], IMMUTABLE)
    assert.equal(headers['x-ipfs-path'], path)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['access-control-allow-origin'], '*')
    const [root, file] = (headers['x-ipfs-roots'] as string).split(',')
    assert.equal(root, await dir)
    assert.equal(headers.etag, `"${file}"`)
  })

  for (const [range, contentRange, text] of [
    ['bytes=6-16', 'bytes 6-16/31', 'application'],
    ['bytes=-3', 'bytes 28-30/31', 'ar\n'],
    ['bytes=25-9999', 'bytes 25-30/31', 'd.car\n'],
  ] as const) {
    test(`gives ${range}, with the type that the whole has`, async () => {
      const { status, headers, body } = await get(`/ipfs/${await dir}/ascii.txt`, { range })
      assert.equal(status, 206)
      assert.equal(headers['content-range'], contentRange)
      assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
      assert.equal(body.toString(), text)
    })
  }

  test('gives several ranges as parts, and says their length truly', async () => {
    const { status, headers, body, complete } = await get(`/ipfs/${await dir}/ascii.txt`, { range: 'bytes=6-16,0-4' })
    assert.equal(status, 206)
    assert.ok(complete)
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(headers['content-type'] as string)?.[1]
    assert.equal(headers['content-length'], String(body.length))
    const part = (range: string, text: string): string =>
      `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ${range}/31\r\n\r\n${text}\r\n`
    assert.equal(body.toString(), `${part('6-16', 'application')}${part('0-4', 'hello')}--${boundary}--\r\n`)
  })

  test('refuses a range behind its end, and says where that is', async () => {
    const { status, headers } = await get(`/ipfs/${await dir}/ascii.txt`, { range: 'bytes=31-' })
    assert.equal(status, 416)
    assert.equal(headers['content-range'], 'bytes */31')
    assert.equal(headers['cache-control'], 'no-store')
  })

  test('is whole when If-Range names another version', async () => {
    const { status } = await get(`/ipfs/${await dir}/ascii.txt`, { range: 'bytes=0-1', 'if-range': '"other"' })
    assert.equal(status, 200)
  })

  test('gives ranges before and after a missing block, and does not pretend to be whole', async () => {
    const path = `/ipfs/${await rootOf('trustless_gateway_car/file-3k-and-3-blocks-missing-block.car')}`
    for (const range of ['997-1000', '2200-2201']) {
      const { status, headers } = await get(path, { range: `bytes=${range}` })
      assert.equal(status, 206)
      assert.equal(headers['content-range'], `bytes ${range}/3072`)
    }
    const whole = await get(path)
    assert.equal(whole.complete, false)
    const inside = await get(path, { range: 'bytes=1500-1501' })
    assert.equal(inside.status, 404)
  })

  test('is downloaded under the name that the URL asks for', async () => {
    const path = `/ipfs/${await dir}/ascii.txt?filename=${encodeURIComponent('../te\r\nSet-Cookie: a=b.txt')}`
    const shown = await get(path)
    assert.match(shown.headers['content-disposition'] as string, /^inline; filename="te__Set-Cookie: a=b.txt"/)
    assert.equal(shown.headers['set-cookie'], undefined)
    const saved = await get(`/ipfs/${await dir}/ascii.txt?download=true`)
    assert.equal(saved.headers['content-disposition'], 'attachment; filename="ascii.txt"')
  })

  test('has the name that its path says after decoding once', async () => {
    const root = await rootOf('path_gateway_unixfs/dir-with-percent-encoded-filename.car')
    const name = 'Portugal%2C+España=Peninsula Ibérica.txt'
    const { status } = await get(`/ipfs/${root}/${encodeURIComponent(name)}`)
    assert.equal(status, 200)
    assert.equal((await get(`/ipfs/${root}/${encodeURIComponent(name).replace('%252C', '%2C')}`)).status, 404)
  })

  test('inside its own CID needs no store', async () => {
    const { status, body } = await get(`/ipfs/${HELLO_IDENTITY}`)
    assert.equal(status, 200)
    assert.equal(body.toString(), 'hello\n')
  })

  test('that a browser can run is shut off in an origin of its own', async () => {
    const html = blocks.addRaw(Buffer.from('<!doctype html><script>alert(1)</script>'))
    const svg = blocks.addRaw(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'))
    for (const path of [
      `/ipfs/${html.toString()}`,
      `/ipfs/${svg.toString()}`,
      `/ipfs/${html.toString()}?filename=a.mht`,
    ]) {
      const { headers } = await get(path)
      assert.match(headers['content-security-policy'] as string, /^sandbox /)
      assert.doesNotMatch(headers['content-security-policy'] as string, /allow-same-origin/)
      assert.equal(headers['x-content-type-options'], 'nosniff')
    }
  })

  test('that is a symlink is its target, not what lies there', async () => {
    const { status, body } = await get(`/ipfs/${await rootOf('path_gateway_unixfs/symlink.car')}/bar`)
    assert.equal(status, 200)
    assert.equal(body.toString(), 'foo')
  })
})

suite('a directory', () => {
  const listed = rootOf('dir_listing/fixtures.car')
  const cached = rootOf('gateway-cache/fixtures.car')

  test('is at the URL with a slash at its end', async () => {
    const { status, headers } = await get(`/ipfs/${await listed}/%c4%85/%C4%99?a=b`)
    assert.equal(status, 301)
    assert.equal(headers.location, `/ipfs/${await listed}/%C4%85/%C4%99/?a=b`)
  })

  test('is listed with links that hold every name', async () => {
    const root = await listed
    const { status, headers, body } = await get(`/ipfs/${root}/%C4%85/%C4%99/`)
    const html = body.toString()
    assert.equal(status, 200)
    assert.equal(headers['content-type'], 'text/html')
    assert.match(headers.etag as string, /^"DirIndex-[^"]+"$/)
    assert.match(headers['content-security-policy'] as string, /^default-src 'none'; style-src 'sha256-/)
    for (const part of [
      'Index of',
      `/ipfs/<a href="/ipfs/${root}">${root}</a>/<a href="/ipfs/${root}/%C4%85">ą</a>/<a href="/ipfs/${root}/%C4%85/%C4%99">ę</a>`,
      `<a href="/ipfs/${root}/%C4%85/%C4%99/..">..</a>`,
      `<a href="/ipfs/${root}/%C4%85/%C4%99/file-%C5%BA%C5%82.txt">file-źł.txt</a>`,
      '?filename=file-%25C5%25BA%25C5%2582.txt">',
    ]) {
      assert.ok(html.includes(part), part)
    }
  })

  test('has no way up from its root', async () => {
    const { body } = await get(`/ipfs/${await listed}/`)
    assert.ok(!body.includes('>..</a>'))
  })

  test('with hostile names is listed as text', async () => {
    const leaf = blocks.addRaw(Buffer.from('x'))
    const root = blocks.addDirectory([
      ['"><script>alert(1)</script>', leaf],
      ["javascript:alert('1')", leaf],
    ])
    const html = (await get(`/ipfs/${root.toString()}/`)).body.toString()
    assert.ok(!html.includes('<script'))
    assert.ok(!/href="javascript:/.test(html))
  })

  test('with an index.html is that page, under the tag of the directory', async () => {
    const path = `/ipfs/${await cached}/root2/root3/root4/`
    const { status, headers, body } = await get(path)
    assert.equal(status, 200)
    assert.equal(body.toString(), 'hello\n')
    assert.equal(headers['content-type'], 'text/html')
    assert.equal(headers['cache-control'], IMMUTABLE)
    const roots = (headers['x-ipfs-roots'] as string).split(',')
    assert.equal(roots.length, 4)
    assert.equal(headers.etag, `"${roots[3]}"`)
    assert.equal((await get(path, { 'if-none-match': `"${roots[3]}"` })).status, 304)
  })

  test('of ten thousand entries is listed without reading one of them', async () => {
    const leaf = blocks.addRaw(Buffer.from('never read'))
    const names = Array.from({ length: 10_000 }, (_, index) => `${index}.json`)
    const root = blocks.addDirectory(names.map((name) => [name, leaf]))
    blocks.reads = []
    const { body } = await get(`/ipfs/${root.toString()}/`)
    assert.equal(body.toString().match(/<tr><td><a href/g)?.length, 10_000)
    assert.deepEqual([...new Set(blocks.reads.map(String))], [root.toString()])
  })
})

suite('a raw block', () => {
  test('is the bytes under the CID, saved as a file', async () => {
    const root = await rootOf('gateway-raw-block.car')
    const { status, headers, body } = await get(`/ipfs/${root}/dir/ascii.txt`, { accept: 'application/vnd.ipld.raw' })
    const cid = (headers['x-ipfs-roots'] as string).split(',').at(-1) as string
    assert.equal(status, 200)
    assert.equal(body.toString(), 'hello application/vnd.ipld.raw\n')
    assert.equal(headers['content-type'], 'application/vnd.ipld.raw')
    assert.equal(headers['content-disposition'], `attachment; filename="${cid}.bin"`)
    assert.equal(headers.etag, `"${cid}.raw"`)
    assert.equal(headers['content-location'], `/ipfs/${root}/dir/ascii.txt?format=raw`)
  })

  test('gives ranges', async () => {
    const root = await rootOf('gateway-raw-block.car')
    const { status, body } = await get(`/ipfs/${root}/dir/ascii.txt?format=raw`, { range: 'bytes=6-16' })
    assert.equal(status, 206)
    assert.equal(body.toString(), 'application')
  })

  test('of the probe CID is empty', async () => {
    const { status, body } = await get('/ipfs/bafkqaaa?format=raw')
    assert.equal(status, 200)
    assert.equal(body.length, 0)
  })
})
