import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { recordFixtures } from '../support/gateway-fixtures.ts'
import { fixtureSite } from '../support/fixture-site.ts'

/** Names on a path gateway, and their records (leaves path-ipns-gateway and trustless-ipns-gateway). */

const GOOD = {
  'V1 and V2': 'k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w',
  'V2 alone': 'k51qzi5uqu5dit2ku9mutlfgwyz8u730on38kd10m97m36bjt66my99hb6103f',
  'V2 beside a broken V1': 'k51qzi5uqu5dilgf7gorsh9vcqqq4myo6jd4zmqkuy9pxyxi5fua3uf7axph4y',
}
const BAD = {
  'V1 alone': 'k51qzi5uqu5dm4tm0wt8srkg9h9suud4wuiwjimndrkydqm81cqtlb5ak6p7ku',
  'V1 and V2 that say different things': 'k51qzi5uqu5dlmit2tuwdvnx4sbnyqgmvbxftl0eo3f33wwtb9gr7yozae9kpw',
  'a broken V2': 'k51qzi5uqu5diamp7qnnvs1p1gzmku3eijkeijs3418j23j077zrkok63xdm8c',
}
const RECORD = 'application/vnd.ipfs.ipns-record'
const CACHED = 'k51qzi5uqu5dlxdsdu5fpuu7h69wu4ohp32iwm9pdt9nq3y5rpn3ln9j12zfhe'
const site = fixtureSite()

suite('a name', () => {
  for (const [what, name] of Object.entries(GOOD)) {
    test(`with a record of ${what} leads to its content`, async () => {
      const { status, headers } = await site.get(`/ipns/${name}`)
      assert.equal(status, 200)
      assert.equal(headers['cache-control'], 'public, max-age=1800')
    })
  }

  for (const [what, name] of Object.entries(BAD)) {
    test(`with a record of ${what} is 502, and the record was never taken`, async () => {
      const { status, headers } = await site.get(`/ipns/${name}`)
      assert.equal(status, 502)
      assert.equal(headers['cache-control'], 'no-store')
      assert.ok(headers['retry-after'] !== undefined)
      assert.equal((await site.get(`/routing/v1/ipns/${name}`)).status, 404)
    })
  }

  test('serves directories, files and blocks with the headers of its content, kept for as long as it says', async () => {
    const index = await site.get(`/ipns/${CACHED}/root2/root3/root4/`)
    assert.equal(index.body.toString(), 'hello\n')
    assert.equal(index.headers.etag, '"bafybeifq2rzpqnqrsdupncmkmhs3ckxxjhuvdcbvydkgvch3ms24k5lo7q"')
    assert.equal(index.headers['x-ipfs-path'], `/ipns/${CACHED}/root2/root3/root4/`)
    const listing = await site.get(`/ipns/${CACHED}/root2/root3/`)
    assert.match(
      listing.headers.etag ?? '',
      /^"DirIndex-.*_CID-bafybeiawdvhmjcz65x5egzx4iukxc72hg4woks6v6fvgyupiyt3oczk5ja"$/,
    )
    const raw = await site.get(`/ipns/${CACHED}/root2/root3/root4/?format=raw`)
    assert.equal(raw.body.length, 58)
    for (const { headers } of [index, listing, raw]) {
      const maxAge = /^public, max-age=(\d+)$/.exec(headers['cache-control'] ?? '')?.[1]
      assert.ok(Number(maxAge) > 0 && Number(maxAge) <= 86_400, headers['cache-control'])
    }
    const file = `/ipns/${CACHED}/root2/root3/root4/index.html`
    const known = '"bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"'
    assert.equal((await site.get(file, { 'if-none-match': known })).status, 304)
  })

  test('that stands for a path below a root is joined with the path asked for', async () => {
    const name = 'k51qzi5uqu5djokp3m1keo36hoxtd6u3a1d2rg1camf6al7p3huy63dojlm57c'
    const { status, body } = await site.get(`/ipns/${name}/root3/root4/index.html`)
    assert.equal(status, 200)
    assert.equal(body.toString(), 'hello\n')
  })

  for (const [written, canonical] of [
    [
      '12D3KooWRBy97UB99e3J6hiPesre1MZeuNQvfan4gBziswrRJsNK',
      'k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8',
    ],
    ['QmcJM7PRfkSbcM5cf1QugM5R37TLRKyJGgBEhXjLTB8uA2', 'k2k4r8ol4m8kkcqz509c1rcjwunebj02gcnm5excpx842u736nja8ger'],
  ] as const) {
    test(`written as ${written.slice(0, 4)}… is redirected to base 36, with path and query`, async () => {
      const { status, headers } = await site.get(`/ipns/${written}/root2/?a=b`)
      assert.equal(status, 302)
      assert.equal(headers.location, `/ipns/${canonical}/root2/?a=b`)
    })
  }

  test('that is neither a key nor a domain is 400', async () => {
    for (const name of ['x', 'not a name', 'k51', '..', '1.2.3.4']) {
      assert.equal((await site.get(`/ipns/${encodeURIComponent(name)}`)).status, 400, name)
    }
  })

  test('that is a domain without a DNSLink is not resolved', async () => {
    assert.equal((await site.get('/ipns/nothing.example.org')).status, 502)
  })
})

suite('a record', () => {
  for (const name of [GOOD['V1 and V2'], GOOD['V2 alone']]) {
    test(`of ${name.slice(0, 12)}… is given as it was published`, async () => {
      const published = (await recordFixtures()).find((fixture) => fixture.name === name)?.bytes
      for (const { headers, body } of [
        await site.get(`/ipns/${name}?format=ipns-record`),
        await site.get(`/ipns/${name}`, { accept: RECORD }),
      ]) {
        assert.deepEqual(body, published)
        assert.equal(headers['content-type'], RECORD)
        assert.equal(headers['content-disposition'], `attachment; filename="${name}.ipns-record"`)
        assert.equal(headers['cache-control'], 'public, max-age=1800')
        assert.equal(headers['x-content-type-options'], 'nosniff')
        assert.equal(
          (await site.get(`/ipns/${name}?format=ipns-record`, { 'if-none-match': headers.etag ?? '' })).status,
          304,
        )
      }
    })
  }

  test('can be given a name', async () => {
    const filename = encodeURIComponent('testтест.ipns-record')
    const { headers } = await site.get(`/ipns/${GOOD['V1 and V2']}?format=ipns-record&filename=${filename}`)
    const expected = `attachment; filename="test____.ipns-record"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.ipns-record`
    assert.equal(headers['content-disposition'], expected)
  })

  test('is only of keys, not of content, domains or paths', async () => {
    for (const path of ['/ipfs/bafkqaaa', '/ipns/dnslink-test.example.org', `/ipns/${GOOD['V1 and V2']}/path`]) {
      assert.equal((await site.get(`${path}?format=ipns-record`)).status, 400, path)
    }
  })
})
