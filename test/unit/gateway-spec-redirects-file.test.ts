import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { fixtureSite } from '../support/fixture-site.ts'

/** `_redirects` of sites with an origin of their own (leaf redirects-file). */

const EXAMPLES = CID.parse('QmYBhLYDwVFvxos9h8CGU2ibaY66QNgv8hpfewxaQrPiZj').toV1().toString()
const SPA = 'bafybeib5lboymwd6p2eo4qb2lkueaine577flvsjjeuevmp2nlio72xv5q'
const IMMUTABLE = 'public, max-age=29030400, immutable'
const site = fixtureSite()

/** A site with these files. */
function siteOf(files: Record<string, string>): string {
  const entries = Object.entries(files).map(([name, text]): [string, CID] => [
    name,
    site.blocks.addRaw(Buffer.from(text)),
  ])
  return `${site.blocks.addDirectory(entries).toString()}.ipfs`
}

const examples = { host: 'dnslink-redirects-examples.example.org' }

suite('the rules of the suite', () => {
  for (const [path, status, location] of [
    ['/redirect-one', 301, '/one.html'],
    ['/301-redirect-one', 301, '/one.html'],
    ['/302-redirect-two', 302, '/two.html'],
    ['/posts/2022/01/01/hello-world', 301, '/articles/2022/01/01/hello-world'],
    ['/splat/one.html', 301, '/redirected-splat/one.html'],
  ] as const) {
    test(`${path} is ${status} to ${location}`, async () => {
      const { status: answered, headers } = await site.get(path, examples)
      assert.equal(answered, status)
      assert.equal(headers.location, location)
    })
  }

  for (const [path, status, text] of [
    ['/200-index', 200, 'my index'],
    ['/catch-all', 200, 'my index'],
    ['/not-found/has-no-redirects-entry', 404, 'my 404'],
    ['/gone/has-no-redirects-entry', 410, 'my 410'],
    ['/unavail/has-no-redirects-entry', 451, 'my 451'],
  ] as const) {
    test(`${path} is ${status} with the page that the site has for that`, async () => {
      const { status: answered, headers, body } = await site.get(path, examples)
      assert.equal(answered, status)
      assert.match(body.toString(), new RegExp(text))
      assert.match(headers.etag ?? '', /^"Qm\w+"$/)
      assert.ok(!(headers['cache-control'] ?? '').includes('immutable'))
    })
  }
})

test('the page for what is missing under a CID is kept for ever, by its own tag', async () => {
  const { status, headers } = await site.on(`${EXAMPLES}.ipfs`, '/not-found/has-no-redirects-entry')
  assert.equal(status, 404)
  assert.equal(headers['cache-control'], IMMUTABLE)
  assert.equal(headers.etag, '"Qmd9GD7Bauh6N2ZLfNnYS3b7QVAijbud83b8GE8LPMNBBP"')
})

suite('a single-page application', () => {
  const hosts = [
    `${SPA}.ipfs.example.com`,
    'dnslink--enabled--with--spa-example-org.ipns.example.com',
    'dnslink-enabled-with-spa.example.org',
  ]
  for (const host of hosts) {
    test(`answers any path of ${host.slice(0, 24)}… with its page, or with 304`, async () => {
      const headers = { host, accept: 'text/html' }
      const { status, headers: answered, body } = await site.get('/missing-page', headers)
      assert.equal(status, 200)
      assert.equal(body.toString(), 'hello world\n')
      const known = { ...headers, 'if-none-match': answered.etag ?? '' }
      assert.equal((await site.get('/missing-page', known)).status, 304)
    })
  }
})

suite('a rule', () => {
  test('is used for what is missing, and the first that fits', async () => {
    const host = siteOf({
      _redirects: '/there.txt /other 302\n/a* /x 301\n/a /first 302\n/a /second 302',
      'there.txt': 'there',
    })
    assert.equal((await site.on(host, '/there.txt')).body.toString(), 'there')
    // An asterisk within a segment is a mistake of the whole file.
    assert.equal((await site.on(host, '/a')).status, 500)
    const good = siteOf({ _redirects: '# comment\r\n\r\n/a /first 302\r\n/a /second 302\r\n' })
    assert.equal((await site.on(good, '/a')).headers.location, '/first')
    assert.equal((await site.on(good, '/a/')).headers.location, '/first')
    assert.equal((await site.on(good, '/b')).status, 404)
  })

  test('is for the whole path, not for a part of it', async () => {
    const host = siteOf({ _redirects: '/old /new' })
    assert.equal((await site.on(host, '/old')).status, 301)
    for (const path of ['/x/older', '/older', '/old/er', '/x/old']) {
      assert.equal((await site.on(host, path)).status, 404, path)
    }
  })

  test('gets the query of the visitor, which wins over its own', async () => {
    const host = siteOf({ _redirects: '/a /b?x=rule&y=rule#part 302' })
    assert.equal((await site.on(host, '/a')).headers.location, '/b?x=rule&y=rule#part')
    assert.equal((await site.on(host, '/a?x=mine&z=1')).headers.location, '/b?y=rule&x=mine&z=1#part')
  })

  test('fills in placeholders as text', async () => {
    const host = siteOf({ _redirects: '/u/:who/* /users?name=:who&rest=:splat 302', '404.html': '' })
    const { headers } = await site.on(host, '/u/a%26b%0d%0aset-cookie/:who/c%20d')
    assert.equal(headers.location, '/users?name=a%26b%0D%0Aset-cookie&rest=%3Awho/c%20d')
    assert.equal(headers['set-cookie'], undefined)
  })

  test('may lead to another host, when the site says so', async () => {
    const host = siteOf({ _redirects: '/out https://example.net/:splat 307' })
    assert.equal((await site.on(host, '/out')).headers.location, 'https://example.net/')
    const trap = siteOf({ _redirects: '/* /:splat 302' })
    assert.match((await site.on(trap, '//evil.example/x')).headers.location ?? '', /^\/evil/)
  })

  test('takes a page with its status from the site alone', async () => {
    for (const rule of ['/* https://example.net/ 200', '/* https://example.net/ 404', '/* ../x 200']) {
      assert.equal((await site.on(siteOf({ _redirects: rule }), '/missing')).status, 500, rule)
    }
    const nothing = siteOf({ _redirects: '/* /missing.html 404' })
    assert.equal((await site.on(nothing, '/missing')).status, 404)
  })
})

suite('a file with a mistake', () => {
  for (const [what, text] of [
    ['a forced redirect', '/a /b 301!'],
    ['a status that is not allowed', '/a /b 418'],
    ['no target', '/a'],
    ['too many fields', '/a /b 301 x'],
    ['a placeholder twice', '/:a/:a /b'],
    ['an asterisk in the middle', '/*/a /b'],
    ['a relative path', 'a /b'],
    ['a scheme that runs', '/a javascript:alert(1)'],
    ['more than 64 KiB', `# ${'x'.repeat(65_536)}`],
  ] as const) {
    test(`(${what}) is 500 for what is missing, and nothing for what is there`, async () => {
      const host = siteOf({ _redirects: text, 'found.html': 'found' })
      const { status, headers, body } = await site.on(host, '/missing')
      assert.equal(status, 500)
      assert.match(body.toString(), /could not parse _redirects:/)
      assert.equal(headers['cache-control'], 'no-store')
      assert.equal((await site.on(host, '/found.html')).status, 200)
    })
  }

  test('of more than 64 KiB says so', async () => {
    const { body } = await site.on(siteOf({ _redirects: ' '.repeat(65_537) }), '/missing')
    assert.match(body.toString(), /redirects file size cannot exceed/)
  })
})

test('sites that share an origin have no rules', async () => {
  const [root = ''] = siteOf({ _redirects: '/* /index.html 200', 'index.html': 'page' }).split('.')
  assert.equal((await site.get(`/ipfs/${root}/missing`)).status, 404)
  assert.equal((await site.on(`${root}.ipfs`, '/missing')).status, 200)
  assert.equal((await site.on(`${root}.ipfs`, '/missing?format=raw')).status, 404)
})
