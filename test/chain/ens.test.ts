import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { isIP, type AddressInfo, type LookupFunction } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { Interface, namehash } from 'ethers'
import { Ens } from '../../services/chain/ens/ens.ts'
import type { OffchainOptions } from '../../services/chain/ens/offchain-gateway.ts'
import type { Hex } from '../../services/chain/hex.ts'
import { pinBlock } from '../../services/chain/pin-block.ts'
import { ProviderPool, type Disagreement } from '../../services/chain/provider-pool.ts'
import { hasCode, type ErrorCode } from '../../services/core/errors.ts'
import { ensLookup } from '../../services/naming/ens-link.ts'
import { NameResolver } from '../../services/naming/name-resolver.ts'
import { parseName } from '../../services/naming/name.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { openZoo } from '../support/rpc-zoo.ts'

const contracts = new Interface([
  'function setResolver(bytes32 node, address to)',
  'function setContenthash(bytes32 node, bytes value)',
  'function setContenthash(bytes to)',
  'function setUrls(string[] to)',
  'function setAsksAgain(bool to)',
  'function setSender(address to)',
  'function setAnswer(bytes to)',
  'function setDown(bool to)',
])
const FOLDER = '0xe3010170122029f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f'
const FOLDER_CID = 'bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4'
const PATIENT = { timeout: 60_000 }

let chain: TestChain
let registry: Hex
let plain: Hex
let wildcard: Hex
let offchain: Hex
let hostile: Hex

before(async () => {
  chain = await startChain()
  registry = await chain.deploy('MiniRegistry')
  plain = await chain.deploy('MiniResolver')
  wildcard = await chain.deploy('WildcardResolver')
  offchain = await chain.deploy('OffchainResolver')
  hostile = await chain.deploy('HostileResolver')
  await pointTo('plain.eth', plain)
  await pointTo('parent.eth', wildcard)
  await pointTo('far.eth', offchain)
  await pointTo('bad.eth', hostile)
  await send(plain, 'setContenthash(bytes32,bytes)', [namehash('plain.eth'), FOLDER])
  await send(wildcard, 'setContenthash(bytes)', [FOLDER])
})
after(() => chain[Symbol.asyncDispose]())

async function send(to: Hex, call: string, values: unknown[]): Promise<void> {
  await chain.send(to, contracts.encodeFunctionData(call, values))
}

function pointTo(name: string, resolver: Hex): Promise<void> {
  return send(registry, 'setResolver', [namehash(name), resolver])
}

function ens(options: OffchainOptions = {}, pool = new ProviderPool([{ name: 'one', url: chain.url }])): Ens {
  return new Ens({ pool, registry, head: 'latest', offchain: options })
}

async function rootOf(name: string, options: OffchainOptions = {}): Promise<string> {
  const { content } = await ens(options).contenthash(name)
  assert.equal(content?.network, 'ipfs')
  return content.root.toString()
}

function refuses(name: string, code: ErrorCode, options: OffchainOptions = {}): Promise<void> {
  return assert.rejects(ens(options).contenthash(name), (error) => hasCode(error, code))
}

/** A server of this machine, as a contract may name it; counts what it is asked. */
async function serve(answer: RequestListener) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    asked,
    port,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

suite('a name of ENS', PATIENT, () => {
  test('is read, normalised, at the block that is told', async () => {
    const { name, block, content } = await ens().contenthash('PLAIN.eth')
    assert.deepEqual([name, block], ['plain.eth', await chain.head()])
    assert.equal(content?.network === 'ipfs' && content.root.toString(), FOLDER_CID)
  })

  test('that has no content is told apart from one that is not there', async () => {
    await pointTo('empty.eth', plain)
    assert.equal((await ens().contenthash('empty.eth')).content, undefined)
    await refuses('nobody.xyz', 'NAME_NOT_RESOLVED')
  })

  test('is answered for by its parent only when that answers for all below it', async () => {
    assert.equal(await rootOf('a.b.parent.eth'), FOLDER_CID)
    await refuses('below.plain.eth', 'NAME_NOT_RESOLVED')
  })

  test('that cannot be one is refused before the chain is asked', async () => {
    for (const name of ['', '.', 'a..eth', 'a b.eth', `${'a'.repeat(300)}.eth`, `${'a.'.repeat(20)}eth`]) {
      await refuses(name, 'INVALID_NAME')
    }
  })

  test('whose resolver reverts, returns rubbish or is no contract is not resolved', async () => {
    await refuses('bad.eth', 'NAME_NOT_RESOLVED')
    const word = (value: string): string => value.padStart(64, '0')
    for (const rubbish of ['00', 'ff'.repeat(32), `${word('20')}${'ff'.repeat(32)}`, `${word('20')}${word('40')}`]) {
      await send(hostile, 'setAnswer', [`0x${rubbish}`])
      await refuses('bad.eth', 'NAME_NOT_RESOLVED')
    }
    await pointTo('none.eth', '0x00000000000000000000000000000000000000aa')
    await refuses('none.eth', 'NAME_NOT_RESOLVED')
  })

  test('in any script and spelling is the one that it is normalised to', async () => {
    await pointTo('señor🦆.eth', plain)
    await send(plain, 'setContenthash(bytes32,bytes)', [namehash('señor🦆.eth'), FOLDER])
    for (const text of ['señor🦆.eth', 'SEN\u0303OR🦆\ufe0f.ETH', new URL('http://señor🦆.eth').host]) {
      const { name } = await ens().contenthash(text)
      assert.equal(name, 'señor🦆.eth')
      assert.equal(await rootOf(text), FOLDER_CID)
    }
    // A Cyrillic letter among Latin ones.
    await refuses('pl\u0430in.eth', 'INVALID_NAME')
  })

  test('is read at the height that enough providers have reached, whatever single ones claim', async () => {
    await using liar = await openZoo(chain.url)
    const honest = ['one', 'two'].map((name) => ({ name, url: chain.url }))
    await chain.rpc.call({ method: 'anvil_mine', params: ['0x200'] })
    const { number: head } = await chain.head()
    for (const claims of [0n, 1n, head - 200n, head + 1n, head + 200n, 2n ** 60n]) {
      liar.manners.claims = claims
      for (const providers of [
        [{ name: 'liar', url: liar.url }, ...honest],
        [...honest, { name: 'liar', url: liar.url }],
      ]) {
        const pool = new ProviderPool(providers, { quorum: 2 })
        const { number, hash } = await pinBlock(pool, 'latest')
        assert.deepEqual({ number, hash }, await chain.head(), `with the claim ${claims}`)
      }
      if (claims === head + 1n) continue
      const alone = new ProviderPool([{ name: 'liar', url: liar.url }, ...honest.slice(1)], { quorum: 2 })
      await assert.rejects(pinBlock(alone, 'latest'), (error) => hasCode(error, 'UPSTREAM_FAILED'))
    }
  })

  test('is what most providers say, and who says something else is told', async () => {
    await using liar = await openZoo(chain.url)
    liar.manners.lies = true
    // The liar of the zoo changes what looks like the end of `….json`.
    await pointTo('told.eth', plain)
    const told = `0xe3010170122${FOLDER.slice(13, -10)}2e6a736f6e`
    await send(plain, 'setContenthash(bytes32,bytes)', [namehash('told.eth'), told])
    const seen: Disagreement[] = []
    const providers = [
      { name: 'liar', url: liar.url },
      { name: 'one', url: chain.url },
      { name: 'two', url: chain.url },
    ]
    const pool = new ProviderPool(providers, { quorum: 2, onDisagree: (one) => seen.push(one) })
    const honest = await rootOf('told.eth')
    for (let round = 0; round < 3; round++) {
      const { content } = await ens({}, pool).contenthash('told.eth')
      assert.equal(content?.network === 'ipfs' && content.root.toString(), honest)
    }
    assert.ok(seen.every(({ dissenting }) => dissenting.join() === 'liar'))
    const alone = new ProviderPool(providers.slice(0, 2), { quorum: 2 })
    await assert.rejects(ens({}, alone).contenthash('told.eth'), (error) => hasCode(error, 'UPSTREAM_FAILED'))
  })
})

suite('a name whose resolver asks outside of the chain', PATIENT, () => {
  const allowed = { allowsPrivate: true }

  test('gets its answer by GET or POST, as the URL says', async () => {
    const bodies: string[] = []
    await using server = await serve((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        bodies.push(body)
        response.end(JSON.stringify({ data: FOLDER }))
      })
    })
    await send(offchain, 'setUrls', [[`${server.url}/{sender}/{data}.json`]])
    assert.equal(await rootOf('sub.far.eth', allowed), FOLDER_CID)
    await send(offchain, 'setUrls', [[`${server.url}/post`]])
    assert.equal(await rootOf('sub.far.eth', allowed), FOLDER_CID)
    const data = '0x03737562036661720365746800'
    assert.deepEqual(server.asked, [`GET /${offchain}/${data}.json`, 'POST /post'])
    assert.deepEqual(JSON.parse(bodies[1] ?? ''), { sender: offchain, data })
  })

  test('never leads to a private address, however it is written', async () => {
    await using server = await serve((_, response) => response.end(JSON.stringify({ data: FOLDER })))
    const hosts = ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', '169.254.169.254']
    for (const host of [...hosts, '0', '10.0.0.1', 'metadata.google.internal', 'user@127.0.0.1', '127.0.0.1.']) {
      for (const scheme of ['https', 'http']) {
        await send(offchain, 'setUrls', [[`${scheme}://${host}:${server.port}/{data}`]])
        await refuses('far.eth', 'UPSTREAM_FAILED')
      }
    }
    await send(offchain, 'setUrls', [['file:///etc/passwd', 'not a url', 'ftp://example.com/{data}']])
    await refuses('far.eth', 'UPSTREAM_FAILED')
    assert.deepEqual(server.asked, [])
  })

  test('never leads to a host of a public name that resolves to a private address', async () => {
    let connections = 0
    const server = createServer().on('connection', () => connections++)
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as AddressInfo
    await send(offchain, 'setUrls', [[`https://gateway.example.com:${port}/{data}`]])
    const lookedUp: string[] = []
    for (const addresses of [['127.0.0.1'], ['93.184.216.34', '127.0.0.1'], ['::1'], ['::ffff:127.0.0.1']]) {
      const lookUp: LookupFunction = (hostname, _, done) => {
        lookedUp.push(hostname)
        done(
          null,
          addresses.map((address) => ({ address, family: isIP(address) })),
        )
      }
      await refuses('far.eth', 'UPSTREAM_FAILED', { lookUp })
    }
    assert.equal(lookedUp.length, 4)
    assert.equal(connections, 0)
    await new Promise((done) => server.close(done))
  })

  test('goes on to the next URL, but not after a refusal', async () => {
    await using broken = await serve((_, response) => response.writeHead(500).end())
    await using whole = await serve((_, response) => response.end(JSON.stringify({ data: FOLDER })))
    await using refusing = await serve((_, response) => response.writeHead(404).end())
    await send(offchain, 'setUrls', [[`${broken.url}/{data}`, `${whole.url}/{data}`]])
    assert.equal(await rootOf('far.eth', allowed), FOLDER_CID)
    await send(offchain, 'setUrls', [[`${refusing.url}/{data}`, `${whole.url}/{data}`]])
    await refuses('far.eth', 'UPSTREAM_FAILED', allowed)
    assert.equal(whole.asked.length, 1)
  })

  test('takes no redirect, no rubbish and no more than a mebibyte', async () => {
    await using target = await serve((_, response) => response.end(JSON.stringify({ data: FOLDER })))
    const answers: RequestListener[] = [
      (_, response) => response.writeHead(302, { location: target.url }).end(),
      (_, response) => response.end('no JSON'),
      (_, response) => response.end('{"data":"0xzz"}'),
      (_, response) => response.end(JSON.stringify({ data: `0x${'00'.repeat(600_000)}` })),
    ]
    for (const answer of answers) {
      await using server = await serve(answer)
      await send(offchain, 'setUrls', [[`${server.url}/{data}`]])
      await refuses('far.eth', 'UPSTREAM_FAILED', allowed)
    }
    assert.deepEqual(target.asked, [])
  })

  test('that asks without end is given up after four', async () => {
    await using server = await serve((_, response) => response.end(JSON.stringify({ data: FOLDER })))
    await send(offchain, 'setUrls', [[`${server.url}/{data}`]])
    await send(offchain, 'setAsksAgain', [true])
    await refuses('far.eth', 'NAME_LOOP', allowed)
    await send(offchain, 'setAsksAgain', [false])
    assert.equal(server.asked.length, 4)
  })

  test('in the name of another contract is not followed', async () => {
    await using server = await serve((_, response) => response.end(JSON.stringify({ data: FOLDER })))
    await send(offchain, 'setUrls', [[`${server.url}/{data}`]])
    await send(offchain, 'setSender', [plain])
    await refuses('far.eth', 'NAME_NOT_RESOLVED', allowed)
    await send(offchain, 'setSender', [offchain])
    assert.deepEqual(server.asked, [])
  })
})

suite('a name read by the Universal Resolver', PATIENT, () => {
  let universal: Hex
  before(async () => {
    universal = await chain.deploy('MiniUniversalResolver', registry.slice(2).padStart(64, '0'))
  })
  const reader = (options: OffchainOptions = {}, own?: Hex): Ens => {
    const pool = new ProviderPool([{ name: 'one', url: chain.url }])
    return new Ens({ pool, registry: own ?? registry, universalResolver: universal, head: 'latest', offchain: options })
  }
  const content = async (name: string, options?: OffchainOptions, own?: Hex): Promise<string | undefined> => {
    const answer = await reader(options, own).contenthash(name)
    return answer.content?.network === 'ipfs' ? answer.content.root.toString() : undefined
  }

  test('is answered for by its own resolver or its parents, without the registry being asked', async () => {
    const nowhere = '0x00000000000000000000000000000000000000aa'
    assert.equal(await content('plain.eth', {}, nowhere), FOLDER_CID)
    assert.equal(await content('a.b.parent.eth', {}, nowhere), FOLDER_CID)
    for (const name of ['nobody.xyz', 'bad.eth']) {
      await assert.rejects(content(name), (error) => hasCode(error, 'NAME_NOT_RESOLVED'))
    }
  })

  test('gets answers from outside of the chain by questions that are asked here', async () => {
    const sent: string[] = []
    await using server = await serve((request, response) => {
      sent.push(request.url ?? '')
      response.end(JSON.stringify({ data: FOLDER }))
    })
    await send(offchain, 'setUrls', [[`${server.url}/{sender}/{data}`]])
    assert.equal(await content('sub.far.eth', { allowsPrivate: true }), FOLDER_CID)
    assert.deepEqual(sent, [`/${offchain}/0x03737562036661720365746800`])
    await assert.rejects(content('sub.far.eth'), (error) => hasCode(error, 'UPSTREAM_FAILED'))
  })

  test('keeps what it had when a server that it depends on is down', async () => {
    const down = (to: boolean): Promise<void> => chain.send(universal, contracts.encodeFunctionData('setDown', [to]))
    await down(true)
    await assert.rejects(content('plain.eth'), (error) => hasCode(error, 'UPSTREAM_FAILED'))
    await down(false)
  })

  test('is read by the registry on a chain without one', async () => {
    const pool = new ProviderPool([{ name: 'one', url: chain.url }])
    const universalResolver = '0x00000000000000000000000000000000000000bb'
    const { content: found } = await new Ens({ pool, registry, universalResolver, head: 'latest' }).contenthash(
      'plain.eth',
    )
    assert.equal(found?.network, 'ipfs')
  })
})

suite('a name that is looked at again', PATIENT, () => {
  const mine = async (): Promise<void> => void (await chain.rpc.call({ method: 'anvil_mine', params: ['0x20'] }))

  test('costs no call until another block is final, unless it was asked outside of the chain', async () => {
    await using counting = await openZoo(chain.url)
    await using server = await serve((_, response) => response.end(JSON.stringify({ data: FOLDER })))
    await send(offchain, 'setUrls', [[`${server.url}/{data}`]])
    await pointTo('again.eth', plain)
    await send(plain, 'setContenthash(bytes32,bytes)', [namehash('again.eth'), FOLDER])
    await mine()
    const pool = new ProviderPool([{ name: 'one', url: counting.url }])
    const lookUp = ensLookup(new Ens({ pool, registry, finalAgeMs: 0, offchain: { allowsPrivate: true } }))
    const first = await lookUp('again.eth', {})
    const calls = counting.calls.get('eth_call')
    assert.deepEqual(await lookUp('again.eth', {}), first)
    assert.equal(counting.calls.get('eth_call'), calls)
    await send(plain, 'setContenthash(bytes32,bytes)', [namehash('again.eth'), '0x'])
    await mine()
    assert.equal(await lookUp('again.eth', {}), undefined)
    for (let round = 1; round <= 2; round++) {
      assert.equal((await lookUp('far.eth', {}))?.isOffchain, true)
      assert.equal(server.asked.length, round)
    }
  })

  test('shares the question for the final block with others, and never goes back a little', async () => {
    await mine()
    await using lagging = await openZoo(chain.url)
    const pool = new ProviderPool([{ name: 'one', url: lagging.url }])
    const shared = new Ens({ pool, registry })
    const answers = await Promise.all(['plain.eth', 'parent.eth'].map((name) => shared.contenthash(name)))
    assert.deepEqual(answers[0]?.block, answers[1]?.block)
    assert.equal(lagging.calls.get('eth_getBlockByNumber'), 2)
    const own = new Ens({ pool, registry, finalAgeMs: 0 })
    const { block } = await own.contenthash('plain.eth')
    lagging.manners.claims = block.number - 20n
    assert.deepEqual((await own.contenthash('plain.eth')).block, block)
    lagging.manners.claims = block.number - 200n
    assert.equal((await own.contenthash('plain.eth')).block.number, block.number - 200n)
  })
})

suite('names that lead to content', PATIENT, () => {
  const NO_RECORDS = async function* () {}

  test('may be names of ENS, over other names and away from other networks', async () => {
    await using resolver = new NameResolver({ records: NO_RECORDS, lookUpEns: ensLookup(ens()) })
    const found = await resolver.resolve(parseName('plain.eth'), ['a'])
    assert.deepEqual([found.root.toString(), found.segments, found.ttlMs], [FOLDER_CID, ['a'], 60_000])
    await pointTo('over.eth', plain)
    const link = `0xe50101700009${Buffer.from('plain.eth').toString('hex')}`
    await send(plain, 'setContenthash(bytes32,bytes)', [namehash('over.eth'), link])
    assert.deepEqual((await resolver.resolve(parseName('over.eth'))).names, ['over.eth', 'plain.eth'])
    await pointTo('swarm.eth', plain)
    await send(plain, 'setContenthash(bytes32,bytes)', [namehash('swarm.eth'), `0xe40101fa011b20${'d1'.repeat(32)}`])
    await assert.rejects(resolver.resolve(parseName('swarm.eth')), (error) => hasCode(error, 'OTHER_NETWORK'))
    for (const name of ['absent.eth', 'plain.com']) {
      await assert.rejects(resolver.resolve(parseName(name)), (error) => hasCode(error, 'NAME_NOT_RESOLVED'))
    }
  })
})
