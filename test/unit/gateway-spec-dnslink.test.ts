import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'

/** Domains of their own (leaf dnslink-gateway). */

const LISTED = 'dnslink-dir-listing.example.org'
const site = fixtureSite()

test('the path of the link and that of the request are joined', async () => {
  const { status, body } = await site.get('/root3/root4/index.html', { host: 'dnslink-subpath.example.org' })
  assert.equal(status, 200)
  assert.equal(body.toString(), 'hello\n')
})

test('a link to a key is followed through', async () => {
  for (const host of ['dnslink-over-ipns.example.org', 'dnslink-over-ipns-cidv1.example.org:8080']) {
    assert.equal((await site.get('/', { host })).body.toString(), 'hello\n')
  }
})

test('answers are kept for as long as the link, not for ever', async () => {
  const { headers } = await site.get('/root3/root4/', { host: 'dnslink-subpath.example.org' })
  assert.match(headers['cache-control'] ?? '', /^public, max-age=\d+$/)
})

suite('a directory', () => {
  test('is redirected below the domain', async () => {
    const { status, headers } = await site.get('/%C4%85/%C4%99', { host: LISTED })
    assert.equal(status, 301)
    assert.equal(headers.location, '/%C4%85/%C4%99/')
  })

  test('is listed with links that stay on the domain, and CIDs that lead to where they can be looked at', async () => {
    assert.ok(!(await site.get('/', { host: LISTED })).body.includes('>..</a>'))
    const html = (await site.get('/%C4%85/%C4%99/', { host: LISTED })).body.toString()
    for (const part of [
      '<a href="/%C4%85/%C4%99/..">..</a>',
      `/ipns/<a href="//${LISTED}/">${LISTED}</a>/<a href="//${LISTED}/%C4%85">ą</a>/<a href="//${LISTED}/%C4%85/%C4%99">ę</a>`,
      '<a href="/%C4%85/%C4%99/file-%C5%BA%C5%82.txt">file-źł.txt</a>',
      '<a class="ipfs-hash" translate="no" href="https://cid.ipfs.tech/#bafkreialihlqnf5uwo4byh4n3cmwlntwqzxxs2fg5vanqdi3d7tb2l5xkm" target="_blank" rel="noreferrer noopener">',
    ]) {
      assert.ok(html.includes(part), part)
    }
  })
})

test('a path of another gateway is content of the site like any', async () => {
  assert.equal((await site.get('/ipfs/file.txt', { host: LISTED })).status, 200)
  assert.equal((await site.get('/ipfs/bafkqaaa', { host: LISTED })).status, 404)
})
