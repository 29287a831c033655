import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'

/** https://specs.ipfs.tech/http-gateways/path-gateway/ over the conformance suite's fixtures (leaf path-unixfs-gateway). */

const LISTED = 'bafybeig6ka5mlwkl4subqhaiatalkcleo4jgnr3hqwvpmsqfca27cijp3i'
const CACHED = 'bafybeib3ffl2teiqdncv3mkz4r23b5ctrwkzrrhctdbne6iboayxuxk5ui'
const ROOT2 = 'bafybeih2w7hjocxjg6g2ku25hvmd53zj7og4txpby3vsusfefw5rrg5sii'
const ROOT3 = 'bafybeiawdvhmjcz65x5egzx4iukxc72hg4woks6v6fvgyupiyt3oczk5ja'
const ROOT4 = 'bafybeifq2rzpqnqrsdupncmkmhs3ckxxjhuvdcbvydkgvch3ms24k5lo7q'
const HELLO = 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'
const ABSENT = 'QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN'
const IMMUTABLE = 'public, max-age=29030400, immutable'
const site = fixtureSite()

suite('a directory', () => {
  test('is redirected to the path with a slash, percent-encoded in upper case', async () => {
    const { status, headers } = await site.get(`/ipfs/${LISTED}/%c4%85/%C4%99`)
    assert.equal(status, 301)
    assert.equal(headers.location, `/ipfs/${LISTED}/%C4%85/%C4%99/`)
  })

  test('is listed with breadcrumbs, a way back, and links by path and by CID', async () => {
    const { headers, body } = await site.get(`/ipfs/${LISTED}/%C4%85/%C4%99/`)
    const html = body.toString()
    assert.match(headers.etag ?? '', /^"DirIndex-\w+_CID-bafy\w+"$/)
    assert.equal(headers['cache-control'], 'public, max-age=604800, stale-while-revalidate=2678400')
    for (const part of [
      'Index of',
      `/ipfs/<a href="/ipfs/${LISTED}">${LISTED}</a>/<a href="/ipfs/${LISTED}/%C4%85">ą</a>/<a href="/ipfs/${LISTED}/%C4%85/%C4%99">ę</a>`,
      `<a href="/ipfs/${LISTED}/%C4%85/%C4%99/..">..</a>`,
      `<a href="/ipfs/${LISTED}/%C4%85/%C4%99/file-%C5%BA%C5%82.txt">file-źł.txt</a>`,
      '<a class="ipfs-hash" translate="no" href="/ipfs/bafkreialihlqnf5uwo4byh4n3cmwlntwqzxxs2fg5vanqdi3d7tb2l5xkm?filename=file-%25C5%25BA%25C5%2582.txt">',
    ]) {
      assert.ok(html.includes(part), part)
    }
  })

  test('that is a root has no way back', async () => {
    const { body } = await site.get(`/ipfs/${LISTED}/`)
    assert.ok(!body.includes('>..</a>'))
  })

  test('with an index.html shows that, under the tag of the directory', async () => {
    const { status, headers, body } = await site.get(`/ipfs/${CACHED}/root2/root3/root4/`)
    assert.equal(status, 200)
    assert.equal(body.toString(), 'hello\n')
    assert.equal(headers['cache-control'], IMMUTABLE)
    assert.equal(headers.etag, `"${ROOT4}"`)
    assert.equal(headers['x-ipfs-path'], `/ipfs/${CACHED}/root2/root3/root4/`)
    assert.equal(headers['x-ipfs-roots'], [CACHED, ROOT2, ROOT3, ROOT4].join(','))
  })
})

suite('a file', () => {
  test('has the roots of its path, its own tag, and is kept for ever', async () => {
    const { headers } = await site.get(`/ipfs/${CACHED}/root2/root3/root4/index.html`)
    assert.equal(headers.etag, `"${HELLO}"`)
    assert.equal(headers['x-ipfs-roots'], [CACHED, ROOT2, ROOT3, ROOT4, HELLO].join(','))
    assert.equal(headers['cache-control'], IMMUTABLE)
  })

  for (const known of [`"${HELLO}"`, `W/"${HELLO}"`, `"other", "${HELLO}"`, '*']) {
    test(`is 304 for If-None-Match: ${known}`, async () => {
      const path = `/ipfs/${CACHED}/root2/root3/root4/index.html`
      const { status, headers, body } = await site.get(path, { 'if-none-match': known })
      assert.equal(status, 304)
      assert.equal(body.length, 0)
      assert.equal(headers.etag, `"${HELLO}"`)
      assert.equal(headers['cache-control'], IMMUTABLE)
    })
  }

  test('that is not there is 404, and says which part of the path', async () => {
    const { status, body } = await site.get(`/ipfs/${LISTED}/i-do-not-exist`)
    assert.equal(status, 404)
    assert.match(body.toString(), /"i-do-not-exist"/)
  })

  test('whose name holds percent signs, pluses and accents is found', async () => {
    const root = 'bafybeig675grnxcmshiuzdaz2xalm6ef4thxxds6o6ypakpghm5kghpc34'
    const { status } = await site.get(`/ipfs/${root}/Portugal%252C+Espa%C3%B1a=Peninsula%20Ib%C3%A9rica.txt`)
    assert.equal(status, 200)
  })
})

suite('a listing that the client has', () => {
  test('is 304 for its strong and its weak tag', async () => {
    const path = `/ipfs/${CACHED}/root2/root3/`
    const { headers } = await site.get(path)
    for (const tag of [headers.etag ?? '', `W/${headers.etag}`]) {
      assert.equal((await site.get(path, { 'if-none-match': tag })).status, 304)
    }
  })
})

suite('only-if-cached', () => {
  for (const method of ['GET', 'HEAD']) {
    test(`answers ${method} from this node's own disk, or with 412 at once`, async () => {
      const headers = { 'cache-control': 'only-if-cached' }
      assert.equal((await site.get(`/ipfs/${CACHED}/root2/root3/root4/?format=raw`, headers, method)).status, 200)
      assert.equal((await site.get(`/ipfs/${ABSENT}`, headers, method)).status, 412)
    })
  }
})

test('a symlink is listed like any entry and answered with where it points', async () => {
  const root = 'QmWvY6FaqFMS89YAQ9NAPjVP4WZKA1qbHbicc9HeSKQTgt'
  const listing = (await site.get(`/ipfs/${root}/`)).body.toString()
  assert.ok(listing.includes('>foo<') && listing.includes('>bar<'))
  const { status, body } = await site.get(`/ipfs/${root}/bar`)
  assert.equal(status, 200)
  assert.equal(body.toString(), 'foo')
})

test('pages of other origins may read, also by OPTIONS', async () => {
  for (const method of ['GET', 'OPTIONS']) {
    const { headers } = await site.get('/ipfs/bafkqabtimvwgy3yk/', {}, method)
    const listOf = (name: string): string[] => (headers[name] as string).split(', ')
    assert.equal(headers['access-control-allow-origin'], '*')
    assert.deepEqual(listOf('access-control-allow-methods'), ['GET', 'HEAD', 'OPTIONS'])
    for (const name of ['Content-Type', 'Range', 'User-Agent', 'X-Requested-With']) {
      assert.ok(listOf('access-control-allow-headers').includes(name), name)
    }
    for (const name of [
      'Content-Range',
      'Content-Length',
      'X-Ipfs-Path',
      'X-Ipfs-Roots',
      'X-Chunked-Output',
      'X-Stream-Output',
    ]) {
      assert.ok(listOf('access-control-expose-headers').includes(name), name)
    }
  }
})
