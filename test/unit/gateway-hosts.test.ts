import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import type { HostClass } from '../../services/core/gateway-host.ts'
import { HostTable } from '../../services/gateway/hosts.ts'
import { TrustedProxies } from '../../services/gateway/trusted-proxies.ts'
import { openFixtureGateway } from '../support/gateway-fixtures.ts'
import { ask } from '../support/gateway.ts'

const FILE = 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'

suite('the host table', () => {
  const table = new HostTable([
    { host: 'dweb.example', class: 'subdomain' },
    { host: 'a.ipfs.gw.test', class: 'subdomain' },
    { host: 'localhost:8080', class: 'path' },
    { host: '127.0.0.1', class: 'trustless' },
  ])

  for (const [host, expected] of [
    ['dweb.example', { host: 'dweb.example', class: 'subdomain', content: undefined }],
    ['DWEB.example:443', { host: 'DWEB.example:443', class: 'subdomain', content: undefined }],
    ['localhost:8080', { host: 'localhost:8080', class: 'path', content: undefined }],
    ['localhost:8081', undefined],
    ['127.0.0.1:4180', { host: '127.0.0.1:4180', class: 'trustless', content: undefined }],
    ['x.dweb.example', undefined],
    ['evildweb.example', undefined],
    ['', undefined],
    [
      'id.ipfs.dweb.example:1',
      { host: 'dweb.example:1', class: 'subdomain', content: { namespace: 'ipfs', id: 'id' } },
    ],
    [
      'en.wiki.org.IPNS.dweb.example',
      { host: 'dweb.example', class: 'subdomain', content: { namespace: 'ipns', id: 'en.wiki.org' } },
    ],
    [
      'site-eth.ENS.dweb.example:1',
      { host: 'dweb.example:1', class: 'subdomain', content: { namespace: 'ens', id: 'site-eth' } },
    ],
    [
      'docs.ens.domains.ipns.dweb.example',
      { host: 'dweb.example', class: 'subdomain', content: { namespace: 'ipns', id: 'docs.ens.domains' } },
    ],
    ['docs.ens.domains', undefined],
    [
      'site.ipfs.a.ipfs.gw.test',
      { host: 'a.ipfs.gw.test', class: 'subdomain', content: { namespace: 'ipfs', id: 'site' } },
    ],
    [
      'www.ipfs.io.ipns.dweb.example',
      { host: 'dweb.example', class: 'subdomain', content: { namespace: 'ipns', id: 'www.ipfs.io' } },
    ],
  ] as const) {
    test(`knows ${host || '(no host)'} as ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(table.find(host), expected)
    })
  }

  const opens = (...hosts: [string, HostClass][]): boolean => {
    try {
      return new HostTable(hosts.map(([host, hostClass]) => ({ host, class: hostClass }))) instanceof HostTable
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'CONFIG')
      return false
    }
  }

  test('keeps classes apart by domains that share no parent', () => {
    assert.ok(!opens(['gw.example', 'subdomain'], ['blocks.gw.example', 'trustless']))
    assert.ok(!opens(['sites.gw.example', 'subdomain'], ['files.gw.example', 'path']))
    assert.ok(!opens(['gw.example', 'subdomain'], ['GW.example:81', 'path']))
    assert.ok(opens(['sites.gw.example', 'subdomain'], ['more.gw.example', 'subdomain']))
    assert.ok(opens(['sites.example', 'subdomain'], ['files.example', 'path'], ['127.0.0.1', 'trustless']))
  })

  test('finds whatever text without failing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (host) => {
        const found = table.find(host)
        assert.ok(found === undefined || host.endsWith(found.host))
      }),
    )
  })
})

suite('trusted proxies', () => {
  const proxies = new TrustedProxies(['127.0.0.0/8', '::1', 'fd00::/8', '192.0.2.7'])

  for (const [address, trusted] of [
    ['127.0.0.1', true],
    ['::ffff:127.0.0.1', true],
    ['::1', true],
    ['fd12::1', true],
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['::ffff:192.0.2.8', false],
    ['2001:db8::1', false],
    [undefined, false],
  ] as const) {
    test(`${address ?? 'nobody'} is ${trusted ? '' : 'not '}believed`, () => {
      const headers = { 'x-forwarded-host': 'a.example, b.example', 'x-forwarded-proto': 'https' }
      const expected = trusted ? { host: 'a.example', scheme: 'https' } : { host: undefined, scheme: undefined }
      assert.deepEqual(proxies.forwarded(address, headers), expected)
    })
  }

  test('name no scheme but http and https', () => {
    assert.equal(proxies.forwarded('::1', { 'x-forwarded-proto': 'javascript' }).scheme, undefined)
  })

  test('are addresses and networks', () => {
    assert.throws(() => new TrustedProxies(['proxy.example']), { code: 'CONFIG' })
  })

  test('that are not trusted cannot move a request to another host', async () => {
    await using opened = await openFixtureGateway({ trustedProxies: ['192.0.2.1'] })
    const headers = { host: 'fake.domain.com', 'x-forwarded-host': 'example.com' }
    assert.equal((await ask(opened.gateway.url, `/ipfs/${FILE}`, { headers })).status, 200)
  })
})

test('a path host serves files without origins of their own, and a domain of the table its own DNSLink', async () => {
  await using opened = await openFixtureGateway({
    hosts: [
      { host: 'files.test', class: 'path' },
      { host: 'dnslink-test.example.org', class: 'subdomain' },
    ],
  })
  const get = (path: string, host: string) => ask(opened.gateway.url, path, { headers: { host } })
  assert.equal((await get(`/ipfs/${FILE}`, 'files.test')).status, 200)
  assert.equal((await get('/', `${FILE}.ipfs.files.test`)).status, 404)
  assert.equal((await get('/', 'dnslink-test.example.org')).body.toString(), 'hello\n')
  assert.equal((await get(`/ipfs/${FILE}`, 'dnslink-test.example.org')).status, 301)
})
