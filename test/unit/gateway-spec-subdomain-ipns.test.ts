import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'

/** Names in an origin of their own (leaf subdomain-ipns-gateway). */

const KEYS = [
  {
    kind: 'Ed25519',
    old: '12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d',
    canonical: 'k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam',
    dagPb: 'k50rm9yjlt0jey4fqg6wafvqprktgbkpgkqdg27tpqje6iimzxewnhvtin9hhq',
  },
  {
    kind: 'RSA',
    old: 'QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa3',
    canonical: 'k2k4r8m7xvggw5pxxk3abrkwyer625hg01hfyggrai7lk1m63fuihi7w',
    dagPb: 'k2jmtxu61bnhrtj301lw7zizknztocdbeqhxgv76l2q9t36fn9jbzipo',
  },
] as const
const site = fixtureSite()
const host = 'example.com:8080'

for (const { kind, old, canonical, dagPb } of KEYS) {
  suite(`a name of an ${kind} key`, () => {
    test('in any form is redirected to its origin', async () => {
      for (const text of [old, canonical]) {
        const { status, headers } = await site.get(`/ipns/${text}`, { host })
        assert.equal(status, 301)
        assert.equal(headers.location, `http://${canonical}.ipns.${host}/`)
      }
    })

    test('is served on it', async () => {
      const { status, headers, body } = await site.on(`${canonical}.ipns`, '/')
      assert.equal(status, 200)
      assert.equal(body.toString(), 'hello\n')
      assert.equal(headers['x-ipfs-path'], `/ipns/${canonical}/`)
    })

    test('with the codec of old tools is redirected to the one form', async () => {
      const { status, headers } = await site.get('/a?b', { host: `${dagPb}.ipns.${host}` })
      assert.equal(status, 301)
      assert.equal(headers.location, `http://${canonical}.ipns.${host}/a?b`)
    })
  })
}

suite('a domain with a DNSLink', () => {
  test('is redirected to one label, so that one certificate covers it', async () => {
    for (const scheme of ['http', 'https']) {
      const headers = { host, 'x-forwarded-proto': scheme }
      const { headers: answered } = await site.get('/ipns/en.wikipedia-on-ipfs.example.org/wiki/', headers)
      assert.equal(answered.location, `${scheme}://en-wikipedia--on--ipfs-example-org.ipns.${host}/wiki/`)
    }
  })

  test('is served under its name and under that label', async () => {
    for (const label of ['dnslink-test.example.org', 'dnslink--test-example-org']) {
      assert.equal((await site.on(`${label}.ipns`, '/')).body.toString(), 'hello\n')
    }
  })

  test('that leads to a key is followed through', async () => {
    for (const name of ['dnslink-over-ipns.example.org', 'dnslink-over-ipns-cidv1.example.org']) {
      const inlined = name.replaceAll('-', '--').replaceAll('.', '-')
      for (const label of [name, inlined]) {
        const { status, body } = await site.on(`${label}.ipns`, '/')
        assert.equal(status, 200)
        assert.equal(body.toString(), 'hello\n')
      }
    }
  })

  test('is reached by the URIs of protocol handlers', async () => {
    const { headers } = await site.get('/ipns/?uri=ipns%3A%2F%2Fen.wikipedia-on-ipfs.example.org', { host })
    assert.equal(headers.location, '/ipns/en.wikipedia-on-ipfs.example.org')
  })

  test('that fits no label is refused', async () => {
    const { status } = await site.get(`/ipns/${'a-'.repeat(30)}b.example.org/`, { host })
    assert.equal(status, 400)
  })
})
