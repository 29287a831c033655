import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { Interface, namehash } from 'ethers'
import type { CID } from 'multiformats/cid'
import { Ens } from '../../services/chain/ens/ens.ts'
import type { Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { namesOf } from '../../services/gateway/names.ts'
import type { Gateway, GatewayOptions } from '../../services/gateway/server.ts'
import type { DnsLink } from '../../services/naming/dnslink.ts'
import { ensLookup } from '../../services/naming/ens-link.ts'
import { NameResolver, type NameResolverOptions } from '../../services/naming/name-resolver.ts'
import type { Target } from '../../services/naming/target.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway, type Answered } from '../support/gateway.ts'
import { TestRules } from '../support/rules.ts'

/** Names of ENS as gateways serve them: below `/ens/`, and on hosts of their own. */

const contracts = new Interface([
  'function setResolver(bytes32 node, address to)',
  'function setContenthash(bytes32 node, bytes value)',
])
const HOST = 'gw.example'
const PATHS = 'files.test'

const blocks = new MemoryBlocks()
const first = siteOf('first')
const second = siteOf('second')
const rules = new TestRules()

let chain: TestChain
let registry: Hex
let plain: Hex
let opened: Opened
before(async () => {
  chain = await startChain()
  registry = await chain.deploy('MiniRegistry')
  plain = await chain.deploy('MiniResolver')
  for (const name of ['site.eth', 'señor🦆.eth', 'shop.example.com', 'denied.eth']) await publish(name, ipfs(first))
  await publish('arweave.eth', `0x90b2ca05${'11'.repeat(32)}`)
  await publish('domain.eth', `0xe50101700011${Buffer.from('docs.example.test').toString('hex')}`)
  await final()
  opened = open()
})
after(async () => {
  await opened[Symbol.asyncDispose]()
  await chain[Symbol.asyncDispose]()
})

function siteOf(text: string): CID {
  return blocks.addDirectory([
    ['index.html', blocks.addRaw(Buffer.from(`<p>${text}</p>`))],
    ['list', blocks.addDirectory([['a.txt', blocks.addRaw(Buffer.from(`${text} a`))]])],
  ])
}

function ipfs(root: CID): string {
  return `0xe301${Buffer.from(root.bytes).toString('hex')}`
}

async function publish(name: string, contenthash: string): Promise<void> {
  const node = namehash(name)
  await chain.send(registry, contracts.encodeFunctionData('setResolver', [node, plain]))
  await chain.send(plain, contracts.encodeFunctionData('setContenthash', [node, contenthash]))
}

/** Mines so many blocks that what came before is final. */
async function final(): Promise<void> {
  await chain.rpc.call({ method: 'anvil_mine', params: ['0x20'] })
}

interface Opened extends AsyncDisposable {
  gateway: Promise<Gateway>
  get(path: string, headers?: Record<string, string>): Promise<Answered>
  passMs(ms: number): void
}

function open(resolving: Partial<NameResolverOptions> = {}, options: Partial<GatewayOptions> = {}): Opened {
  let nowMs = Date.now()
  const pool = new ProviderPool([{ name: 'one', url: chain.url }])
  const target: Target = { namespace: 'ipfs', root: second, segments: [] }
  const resolver = new NameResolver({
    records: async function* () {},
    lookUpEns: ensLookup(new Ens({ pool, registry, finalAgeMs: 0 })),
    staticLinks: new Map<string, DnsLink>([['docs.example.test', { target, ttlMs: 60_000, ignored: 0 }]]),
    nowMs: () => nowMs,
    ...resolving,
  })
  const store = {
    label: 'none',
    get: () => Promise.resolve(undefined),
    put: () => Promise.reject(new Error('nothing is put here')),
  }
  const gateway = openGateway(blocks, {
    names: namesOf({ resolver, store }),
    hosts: [
      { host: HOST, class: 'subdomain' },
      { host: PATHS, class: 'path' },
    ],
    rules,
    ...options,
  })
  return {
    gateway,
    get: async (path, headers = {}) => await ask((await gateway).url, path, { headers }),
    passMs(ms) {
      nowMs += ms
    },
    async [Symbol.asyncDispose]() {
      await (await gateway).close()
      await resolver[Symbol.asyncDispose]()
    },
  }
}

async function bodyOf(answered: Promise<Answered>): Promise<string> {
  const { status, body } = await answered
  assert.equal(status, 200, body.toString())
  return body.toString()
}

/** What is to be read of a failure. */
async function failureOf(answered: Promise<Answered>): Promise<[status: number, text: string]> {
  const { status, body } = await answered
  return [status, body.toString()]
}

suite('a name of ENS below /ens/', () => {
  test('is served with where it was read', async () => {
    const { status, headers, body } = await opened.get('/ens/site.eth/list/a.txt', { host: PATHS })
    assert.equal(status, 200)
    assert.equal(body.toString(), 'first a')
    assert.equal(headers['x-ens-name'], 'site.eth')
    assert.equal(headers['x-ipfs-path'], '/ens/site.eth/list/a.txt')
    assert.ok(headers['x-ipfs-roots']?.toString().startsWith(`${first.toString()},`))
    assert.equal(headers['cache-control'], 'public, max-age=60')
    assert.equal(headers['x-ens-warning'], undefined)
    const block = BigInt(headers['x-ens-block']?.toString() ?? '')
    assert.ok(block > 0n && block < (await chain.head()).number)
  })

  test('is told again with 304', async () => {
    const { headers } = await opened.get('/ens/site.eth/list/a.txt', { host: PATHS })
    const again = await opened.get('/ens/site.eth/list/a.txt', { host: PATHS, 'if-none-match': headers.etag ?? '' })
    assert.deepEqual([again.status, again.headers['x-ens-block']], [304, headers['x-ens-block']])
  })

  test('need not end in .eth, nor be ASCII, nor be spelled as it is registered', async () => {
    for (const path of ['/ens/shop.example.com/', `/ens/${encodeURIComponent('SEÑOR🦆.eth')}/`, '/ens/SITE.eth/']) {
      assert.equal(await bodyOf(opened.get(path, { host: PATHS })), '<p>first</p>', path)
    }
    const { headers } = await opened.get(`/ens/${encodeURIComponent('señor🦆.eth')}/`, { host: PATHS })
    assert.equal(headers['x-ens-name'], encodeURIComponent('señor🦆.eth'))
    assert.equal((await opened.get('/ens/a..eth/', { host: PATHS })).status, 400)
    assert.equal((await opened.get('/ens/site.eth/?format=ipns-record', { host: PATHS })).status, 400)
  })

  test('is the same as below /ipns/, when it ends in .eth', async () => {
    for (const name of ['site.eth', encodeURIComponent('señor🦆.eth')]) {
      const { headers, body } = await opened.get(`/ipns/${name}/`, { host: PATHS })
      assert.equal(body.toString(), '<p>first</p>')
      assert.equal(headers['x-ens-name'], name)
    }
  })

  test('is what final blocks say, and with head=1 what the newest says', async () => {
    await publish('moving.eth', ipfs(first))
    await final()
    assert.equal(await bodyOf(opened.get('/ens/moving.eth/', { host: PATHS })), '<p>first</p>')
    await publish('moving.eth', ipfs(second))
    opened.passMs(61_000)
    assert.equal(await bodyOf(opened.get('/ens/moving.eth/', { host: PATHS })), '<p>first</p>')
    const newest = await opened.get('/ens/moving.eth/?head=1', { host: PATHS })
    assert.equal(newest.body.toString(), '<p>second</p>')
    assert.equal(newest.headers['cache-control'], 'public, max-age=2')
    assert.equal(newest.headers['x-ens-block'], (await chain.head()).number.toString())
    await publish('moving.eth', ipfs(first))
    opened.passMs(2_001)
    assert.equal(await bodyOf(opened.get('/ens/moving.eth/?head=1', { host: PATHS })), '<p>first</p>')
  })

  test('is read anew before it is served when it was not asked for in a while, if the chain answers', async () => {
    const refusing = new ProviderPool([{ name: 'gone', url: 'http://127.0.0.1:1' }])
    const present = new ProviderPool([{ name: 'one', url: chain.url }])
    let isGone = false
    const lookUpEns: NameResolverOptions['lookUpEns'] = (name, options) =>
      ensLookup(new Ens({ pool: isGone ? refusing : present, registry, finalAgeMs: 0 }))(name, options)
    await using own = open({ lookUpEns, searchMs: 200 })
    const body = async (): Promise<string> => await bodyOf(own.get('/ens/rare.eth/', { host: PATHS }))
    await publish('rare.eth', ipfs(first))
    await final()
    assert.equal(await body(), '<p>first</p>')
    await publish('rare.eth', ipfs(second))
    await final()
    own.passMs(299_000)
    assert.equal(await body(), '<p>first</p>')
    own.passMs(302_000)
    assert.equal(await body(), '<p>second</p>')
    isGone = true
    own.passMs(1_800_000)
    assert.equal(await body(), '<p>second</p>')
    own.passMs(3_600_000)
    assert.equal((await own.get('/ens/rare.eth/', { host: PATHS })).status, 504)
  })

  test('that leads to a domain says that the chain does not vouch for it', async () => {
    const { headers, body } = await opened.get('/ens/domain.eth/', { host: PATHS })
    assert.equal(body.toString(), '<p>second</p>')
    assert.match(headers['x-ens-warning']?.toString() ?? '', /DNS of docs\.example\.test/)
  })

  test('that leads to another network, or nowhere, says so', async () => {
    const [status, text] = await failureOf(opened.get('/ens/arweave.eth/', { host: PATHS }))
    assert.equal(status, 404)
    assert.match(text, /^OTHER_NETWORK: The content of arweave\.eth is on arweave, not on IPFS\./)
    const [, nowhere] = await failureOf(opened.get('/ens/nobody.eth/', { host: PATHS }))
    assert.match(nowhere, /^NAME_NOT_RESOLVED: The name nobody\.eth of ENS has no content\./)
  })

  test('that is denied below /ipns/ is denied below /ens/', async () => {
    rules.deny('/ipns/denied.eth')
    for (const path of ['/ens/denied.eth/', '/ipns/denied.eth/']) {
      assert.equal((await opened.get(path, { host: PATHS })).status, 410)
    }
  })
})

suite('a name of ENS on a subdomain gateway', () => {
  test('is sent on to an origin of its own', async () => {
    for (const [path, location] of [
      ['/ens/site.eth/list?a=b', `http://site-eth.ens.${HOST}/list?a=b`],
      ['/ens/my-shop.example.com', `http://my--shop-example-com.ens.${HOST}/`],
      [
        `/ens/${encodeURIComponent('señor🦆.eth')}/`,
        `http://${new URL('http://señor🦆-eth.x').host.slice(0, -2)}.ens.${HOST}/`,
      ],
      [
        `/ipns/${encodeURIComponent('señor🦆.eth')}/`,
        `http://${new URL('http://señor🦆-eth.x').host.slice(0, -2)}.ens.${HOST}/`,
      ],
      ['/ens/?uri=ens%3A%2F%2Fsite.eth%2Flist', '/ens/site.eth/list'],
    ] as const) {
      const { status, headers } = await opened.get(path, { host: HOST })
      assert.deepEqual([status, headers.location], [301, location], path)
    }
    const long = `${'a'.repeat(60)}.${'b'.repeat(20)}.eth`
    assert.equal((await opened.get(`/ens/${long}/`, { host: HOST })).status, 400)
  })

  test('is served there, under its label or as it is written', async () => {
    const international = new URL('http://señor🦆-eth.x').host.slice(0, -2)
    for (const label of ['site-eth', 'SITE-eth', 'site.eth', 'shop-example-com', international]) {
      assert.equal(await bodyOf(opened.get('/', { host: `${label}.ens.${HOST}` })), '<p>first</p>', label)
    }
    const { headers } = await opened.get('/list/a.txt', { host: `site-eth.ens.${HOST}` })
    assert.deepEqual([headers['x-ens-name'], headers['x-ipfs-path']], ['site.eth', '/ens/site.eth/list/a.txt'])
    const listing = await bodyOf(opened.get('/list/', { host: `site-eth.ens.${HOST}` }))
    assert.ok(listing.includes(`href="//${HOST}/ens/site.eth"`), listing)
    assert.equal((await opened.get('/', { host: `a..ens.${HOST}` })).status, 400)
    assert.equal((await opened.get('/', { host: `site-eth.ens.${PATHS}` })).status, 404)
  })

  test('gets a certificate when it has content and its host is asked for by a proxy', async () => {
    const asked = async (domain: string, headers: Record<string, string> = {}): Promise<number> =>
      (await opened.get(`/tls/ask?domain=${encodeURIComponent(domain)}`, headers)).status
    assert.equal(await asked(`site-eth.ens.${HOST}`), 200)
    for (const domain of [
      `nobody-eth.ens.${HOST}`,
      `arweave-eth.ens.${HOST}`,
      `site.eth.ens.${HOST}`,
      `site-eth.ens.${PATHS}`,
      'site-eth.ens.elsewhere.test',
      HOST,
      '',
    ]) {
      assert.equal(await asked(domain), 404, domain)
    }
    assert.equal(await asked(`site-eth.ens.${HOST}`, { 'x-forwarded-for': '192.0.2.1' }), 404)
    await using strangers = open({}, { trustedProxies: ['192.0.2.9'] })
    assert.equal((await strangers.get(`/tls/ask?domain=site-eth.ens.${HOST}`)).status, 404)
  })
})

suite('a gateway that reads no chain', () => {
  test('says which setting it lacks, unless somebody else knows the name', async () => {
    const resolving = {
      lookUpEns: undefined,
      lookUpTxt: (domain: string) =>
        Promise.resolve(domain === '_dnslink.known.eth' ? [{ text: `dnslink=/ipfs/${first.toString()}` }] : []),
    } as unknown as Partial<NameResolverOptions>
    await using blind = open(resolving)
    for (const [path, host] of [
      ['/ens/site.eth/', PATHS],
      ['/ens/shop.example.com/', PATHS],
      ['/ipns/site.eth/', PATHS],
      ['/', `site-eth.ens.${HOST}`],
      ['/', 'site.eth'],
    ] as const) {
      const [status, text] = await failureOf(blind.get(path, { host }))
      assert.equal(status, 501, `${path} of ${host}`)
      assert.match(text, /^NOT_IMPLEMENTED: .*HOLDFAST_CHAIN_RPC/)
    }
    assert.equal(await bodyOf(blind.get('/ipns/known.eth/', { host: PATHS })), '<p>first</p>')
  })
})
