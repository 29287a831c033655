import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { AbiCoder, keccak256 } from 'ethers'
import type { CID } from 'multiformats/cid'
import { wordOf, type Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { Finding, Pointer } from '../../services/core/collection-report/finding.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { listDirectory } from '../../services/dag/list-directory.ts'
import type { Holder } from '../../services/verifier/checked-source.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { deployCollection, pinAsHeld, withVerifier } from '../support/collections.ts'
import { callOf, wordsOf } from '../support/contract-call.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import { loadCar, MemoryBlocks } from '../support/dag.ts'
import { addNode } from '../support/node-rows.ts'
import { runCli } from '../support/run-cli.ts'
import { until } from '../support/until.ts'

const TOKENS = 140
const NAME = 'k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8'
const HOSTILE_NAME = '<script>alert(1)</script>\u202e'

interface Run {
  id: string
  state: string
  block: { number: string; hash: string }
  contract: { mutability: { grade: string } }
  coverage: { strategy: string; isComplete: boolean }
  figures: { verdicts: Record<string, number>; hosts: Record<string, number>; copies: Record<string, number> }
  error: { code: string } | null
}

interface Report {
  findings: { tokens: Finding[]; sources: string[] }
  pointers: { tokens: Pointer[]; block: { hash: string } }
  pointersSha256: string
}

let chain: TestChain
let api: TestApi
let pool: ProviderPool
const stack = new AsyncDisposableStack()

before(async () => {
  chain = stack.use(await startChain())
  api = stack.use(await openTestApi({ readsChain: true }))
  pool = new ProviderPool([{ name: 'one', url: chain.url }])
})
after(() => stack.disposeAsync())

/** Blocks of which some are given wrong, or not at all. */
class Shelf implements Holder {
  readonly name = 'shelf'
  readonly blocks = new MemoryBlocks()
  readonly corrupt = new Set<string>()
  readonly away = new Set<string>()

  async get(cid: CID): Promise<Uint8Array | undefined> {
    const key = cid.toString()
    if (this.away.has(key)) throw new HoldfastError('UPSTREAM_FAILED', 'It does not answer.')
    const bytes = await this.blocks.get(cid)
    return bytes !== undefined && this.corrupt.has(key) ? Uint8Array.from([...bytes, 0]) : bytes
  }

  json(value: unknown): CID {
    return this.blocks.addRaw(Buffer.from(JSON.stringify(value)))
  }
}

function caip19(address: Hex, standard = 'erc721', chainId = 31_337): string {
  return `eip155:${chainId}/${standard}:${address}`
}

function pathOf(collection: string): string {
  return `/v1/collections/${encodeURIComponent(collection)}/verifications`
}

async function verify(
  collection: string,
  holders: readonly Holder[],
  body: object = { block: 'latest' },
): Promise<Run> {
  const path = pathOf(collection)
  const { id } = await api.json<Run>('POST', path, { body })
  return await withVerifier(api, { pool, holders: () => Promise.resolve(holders) }, () =>
    until('the end of the verification', async () => {
      const run = await api.json<Run>('GET', `${path}/${id}`)
      return run.state === 'done' || run.state === 'failed' ? run : undefined
    }),
  )
}

async function reportOf(collection: string, { id }: Run): Promise<{ report: Report; text: string }> {
  const response = await api.send('GET', `${pathOf(collection)}/${id}.json`)
  assert.equal(response.status, 200)
  const text = await response.text()
  return { report: JSON.parse(text) as Report, text }
}

/** A collection of one directory of metadata and one of images, all pinned and held. */
async function soundCollection(shelf: Shelf, tokens: number) {
  const images = Array.from({ length: tokens }, (_, id) => shelf.blocks.addRaw(Buffer.from(`image ${id}`)))
  const imageFolder = shelf.blocks.addDirectory(images.map((cid, id) => [`${id}.png`, cid]))
  const files = images.map((_, id) =>
    shelf.json({ name: `#${id}`, image: `ipfs://${imageFolder.toString()}/${id}.png` }),
  )
  const folder = shelf.blocks.addDirectory(files.map((cid, id) => [`${id}.json`, cid]))
  const nodeIds = [
    await addNode(api.db, { name: `a-${folder.toString().slice(-8)}`, region: 'a' }),
    await addNode(api.db, { name: `b-${folder.toString().slice(-8)}`, region: 'b' }),
  ]
  await pinAsHeld(api, folder, nodeIds)
  await pinAsHeld(api, imageFolder, nodeIds)
  return {
    images,
    files,
    folder,
    imageFolder,
    nodeIds,
    uris: files.map((_, id) => `ipfs://${folder.toString()}/${id}.json`),
  }
}

suite('a collection', { timeout: 120_000 }, () => {
  test('with one fault of each kind: each is found, and nothing else', async () => {
    const shelf = new Shelf()
    const { uris, files, images, folder, nodeIds } = await soundCollection(shelf, TOKENS)
    const gone = shelf.json({ gone: true })
    shelf.blocks.delete(gone)
    const late = shelf.json({ late: true })
    shelf.away.add(late.toString())
    shelf.corrupt.add((files[20] as CID).toString())
    shelf.blocks.delete(images[30] as CID)
    const notJson = shelf.blocks.addRaw(Buffer.from('{"image":'))
    const onServer = shelf.json({ image: 'https://images.example/7.png' })
    const wrongHash = shelf.json({ image: uris[0], image_details: { sha256: '00'.repeat(32) } })
    const lonely = shelf.json({ name: 'lonely' })
    const unwanted = shelf.json({ name: 'unwanted' })
    const folders = [notJson, onServer, wrongHash]
    for (const root of folders) await pinAsHeld(api, root, nodeIds)
    await pinAsHeld(api, lonely, nodeIds.slice(0, 1))
    const ipfs = (cid: CID): string => `ipfs://${cid.toString()}`
    const faults = new Map<number, [uri: string | undefined, verdict: string]>([
      [10, [ipfs(gone), 'MISSING']],
      [20, [undefined, 'CORRUPT']],
      [30, [undefined, 'MISSING']],
      [40, [ipfs(notJson), 'INVALID_METADATA']],
      [50, ['https://meta.example/50', 'CENTRALISED']],
      [60, [`ipns://${NAME}/60`, 'MUTABLE']],
      [70, [`https://ipfs.io/ipfs/${folder.toString()}/70.json?pinataGatewayToken=secret`, 'VERIFIED_GATEWAY_LINK']],
      [80, [ipfs(onServer), 'CENTRALISED']],
      [90, [`ipfs://${folder.toString()}/nowhere.json`, 'MISSING']],
      [100, [ipfs(wrongHash), 'MISMATCH']],
      [105, [ipfs(lonely), 'UNDER_REPLICATED']],
      [110, [ipfs(unwanted), 'NOT_PINNED_HERE']],
      [115, ['ar://abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG', 'OTHER_NETWORK']],
      [120, ['data:application/json,{"name":"on chain"}', 'ON_CHAIN']],
      [125, ['', 'UNREADABLE']],
      [130, [ipfs(late), 'UNKNOWN']],
      [135, ['file:///etc/passwd', 'INVALID_METADATA']],
    ])
    const address = await deployCollection(
      chain,
      uris.map((uri, id) => faults.get(id)?.[0] ?? uri),
    )
    const collection = caip19(address)
    const run = await verify(collection, [shelf])
    assert.equal(run.state, 'done', JSON.stringify(run.error))
    const { report } = await reportOf(collection, run)
    assert.deepEqual(
      report.findings.tokens.flatMap(({ verdict }, id) => (verdict === 'VERIFIED' ? [] : [[id, verdict]])),
      [...faults].map(([id, [, verdict]]) => [id, verdict]),
    )
    assert.equal(run.figures.verdicts['VERIFIED'], TOKENS - faults.size)
    assert.equal(run.figures.hosts['meta.example'], 1)
    assert.equal(run.contract.mutability.grade, 'OWNER_CAN_CHANGE')
    assert.deepEqual(report.findings.tokens[20]?.links[0]?.corruptAt, ['shelf'])
    assert.deepEqual(
      report.findings.tokens[0]?.links.map(({ role, pin }) => [role, pin?.holders.length]),
      [
        ['metadata', 2],
        ['image', 2],
      ],
    )
    assert.equal(JSON.stringify(report).includes('secret'), false)
  })

  test('has the same pointers byte for byte whenever it is looked at by the same block', async () => {
    const shelf = new Shelf()
    const { uris } = await soundCollection(shelf, 5)
    const address = await deployCollection(chain, uris)
    const collection = caip19(address)
    const first = await verify(collection, [shelf])
    const uri = 'ipfs://bafkreidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u'
    await chain.send(address, callOf('setTokenURI(uint256,string)', 0, uri))
    const again = await verify(collection, [], { block: first.block.number })
    const now = await verify(collection, [shelf])
    const [one, two, three] = await Promise.all([first, again, now].map((run) => reportOf(collection, run)))
    assert.deepEqual(pointersIn(two?.text), pointersIn(one?.text))
    assert.notDeepEqual(pointersIn(three?.text), pointersIn(one?.text))
    assert.equal(createHash('sha256').update(pointersIn(one?.text)).digest('hex'), one?.report.pointersSha256)
    // Nobody was asked.
    assert.deepEqual(again.figures.verdicts, { UNKNOWN: 5 })
  })

  test('of ERC-1155 has the id in the place of {id}, also in the metadata', async () => {
    const shelf = new Shelf()
    const hex = (id: number): string => wordOf(id)
    const image = shelf.blocks.addRaw(Buffer.from('one image'))
    const images = shelf.blocks.addDirectory([7, 8].map((id) => [`${hex(id)}.png`, image]))
    const files = [7, 8].map(() => shelf.json({ image: `ipfs://${images.toString()}/{id}.png` }))
    const folder = shelf.blocks.addDirectory([7, 8].map((id, index) => [`${hex(id)}.json`, files[index] as CID]))
    const address = await chain.deploy('Fixture1155', wordsOf('string', `ipfs://${folder.toString()}/{id}.json`))
    await chain.send(address, selectorOf('mintBatch(uint256,uint256)') + wordOf(7) + wordOf(2))
    const collection = caip19(address, 'erc1155')
    const run = await verify(collection, [shelf])
    assert.deepEqual(run.figures.verdicts, { NOT_PINNED_HERE: 2 })
    const { report } = await reportOf(collection, run)
    assert.deepEqual(
      report.findings.tokens.map(({ links }) => links.map(({ path }) => path)),
      [7, 8].map((id) => [`${hex(id)}.json`, `${hex(id)}.png`]),
    )
  })

  test('is looked at to the end by another process when one stops in the middle', async () => {
    const shelf = new Shelf()
    const { uris } = await soundCollection(shelf, 300)
    const collection = caip19(await deployCollection(chain, uris))
    const path = pathOf(collection)
    const { id } = await api.json<Run>('POST', path, { body: { block: 'latest' } })
    let asked = 0
    const halfWay: Holder = {
      name: 'half way',
      get: async (cid, { signal }) => {
        asked += 1
        // The second slice waits until its process stops.
        if (asked > 560)
          await new Promise((_, stopped) => signal?.addEventListener('abort', () => stopped(signal.reason)))
        return await shelf.get(cid)
      },
    }
    await withVerifier(api, { pool, holders: () => Promise.resolve([halfWay]) }, () =>
      until('the first slice', async () => {
        const { checked } = await api.json<Run & { checked: number }>('GET', `${path}/${id}`)
        return checked > 0 ? true : undefined
      }),
    )
    const run = await withVerifier(api, { pool, holders: () => Promise.resolve([shelf]) }, () =>
      until('the end', async () => {
        const now = await api.json<Run>('GET', `${path}/${id}`)
        return now.state === 'done' ? now : undefined
      }),
    )
    assert.deepEqual(run.figures.verdicts, { VERIFIED: 300 })
  })

  test('whose contract says more of its tokens: every URI counts, and the metadata has the hash that it must have', async () => {
    const shelf = new Shelf()
    const [one, two] = [shelf.json({ name: 'one' }), shelf.json({ name: 'two' })]
    const gone = shelf.json({ gone: 'extended' })
    shelf.blocks.delete(gone)
    const uriOf = (cid: CID): string => `ipfs://${cid.toString()}`
    const bytes = (await shelf.get(one)) as Uint8Array
    const sha256 = `0x${createHash('sha256').update(bytes).digest('hex')}`
    const said: [further: string[], digest: string, algorithm: string][] = [
      [[], '0x', ''],
      [[uriOf(one), uriOf(two)], sha256, 'sha256'],
      [[uriOf(one), uriOf(gone)], keccak256(bytes), 'keccak256'],
      [[], keccak256(bytes), 'sha256'],
      [[], sha256, 'blake'],
    ]
    const address = await deployCollection(
      chain,
      said.map(() => uriOf(one)),
      'FixtureExtended',
    )
    for (const [id, values] of said.entries()) {
      const words = AbiCoder.defaultAbiCoder().encode(['uint256', 'string[]', 'bytes', 'string'], [id, ...values])
      await chain.send(address, selectorOf('extend(uint256,string[],bytes,string)') + words.slice(2))
    }
    const collection = caip19(address)
    const { report } = await reportOf(collection, await verify(collection, [shelf]))
    assert.deepEqual(
      report.findings.tokens.map(({ verdict, reason }) => [verdict, reason]),
      [
        ['NOT_PINNED_HERE', 'NOT_PINNED_HERE'],
        ['NOT_PINNED_HERE', 'NOT_PINNED_HERE'],
        ['MISSING', 'NOBODY_HAS_IT'],
        ['MISMATCH', 'METADATA_DIGEST'],
        ['NOT_PINNED_HERE', 'NOT_PINNED_HERE'],
      ],
    )
    const others = report.pointers.tokens.map((pointer) => pointer.others.map(({ cid }) => cid))
    assert.deepEqual(others, [[], [two.toString()], [gone.toString()], [], []])
    assert.deepEqual(report.pointers.tokens[1]?.integrity, { algorithm: 'sha256', digest: sha256.slice(2) })
  })

  test('of a sharded directory is found name by name', async () => {
    const shelf = new Shelf()
    const { root, blocks } = await loadCar('kubo-hamt.car')
    for (const { cid, bytes } of blocks.blocks()) await shelf.blocks.put(cid, bytes)
    const names = (await Array.fromAsync(listDirectory(root, blocks))).map(({ name }) => name)
    const wanted = [...names.slice(0, 20), 'nowhere']
    const metadata = wanted.map((name) => shelf.json({ name, image: `ipfs://${root.toString()}/${name}` }))
    const collection = caip19(
      await deployCollection(
        chain,
        metadata.map((cid) => `ipfs://${cid.toString()}`),
      ),
    )
    const run = await verify(collection, [shelf])
    assert.deepEqual(run.figures.verdicts, { NOT_PINNED_HERE: 20, MISSING: 1 })
  })

  test('that names servers makes nobody call them', async () => {
    let calls = 0
    const server = createServer((_, response) => response.end(String(++calls)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const shelf = new Shelf()
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const linking = shelf.json({ image: `${url}/image.png`, animation_url: `${url}/ipfs/${shelf.json({}).toString()}` })
    const collection = caip19(await deployCollection(chain, [`${url}/1.json`, `ipfs://${linking.toString()}`]))
    const run = await verify(collection, [shelf])
    server.close()
    assert.equal(run.state, 'done')
    assert.equal(calls, 0)
  })

  test('that is not there, or on another chain, is told', async () => {
    const nowhere = await verify(caip19('0x00000000000000000000000000000000000000aa'), [])
    assert.deepEqual([nowhere.state, nowhere.error?.code], ['failed', 'NOT_FOUND'])
    const elsewhere = await verify(caip19('0x00000000000000000000000000000000000000aa', 'erc721', 1), [])
    assert.deepEqual([elsewhere.state, elsewhere.error?.code], ['failed', 'BAD_REQUEST'])
    const report = await api.send('GET', `${pathOf(nowhere.id)}/${nowhere.id}.json`)
    assert.equal(report.status, 400)
  })
})

function pointersIn(text = ''): string {
  return text.slice(text.indexOf('"pointers":') + '"pointers":'.length, text.lastIndexOf(',"pointersSha256"'))
}

suite('a report', { timeout: 120_000 }, () => {
  test('is lines with a head, and a page on which nothing of a contract can run', async () => {
    const shelf = new Shelf()
    const hostile = shelf.json({ image: `"><img src=x onerror=alert(1)>${HOSTILE_NAME}` })
    const uris = [`ipfs://${hostile.toString()}`, `https://evil.example/"><script>alert(2)</script>`]
    const collection = caip19(await deployCollection(chain, uris))
    const run = await verify(collection, [shelf])
    const path = `${pathOf(collection)}/${run.id}`
    const lines = (await (await api.send('GET', `${path}.ndjson`)).text()).trim().split('\n')
    assert.equal(lines.length, 3)
    assert.equal((JSON.parse(lines[0] ?? '') as { collection: string }).collection, collection)
    const response = await api.send('GET', `${path}.html`)
    assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'.*sandbox/)
    const page = await response.text()
    assert.doesNotMatch(page, /<script|<img|onerror=alert\(1\)>[^&]|\u202e/)
    assert.match(page, /<svg/)
    assert.doesNotMatch(page, /src=|href=/)
  })

  test('is nobody else’s', async () => {
    const collection = caip19(await deployCollection(chain, ['data:,{}']))
    const { id } = await verify(collection, [])
    for (const end of ['', '.json', '.ndjson', '.html']) {
      const response = await api.send('GET', `${pathOf(collection)}/${id}${end}`, { token: api.otherToken })
      assert.equal(response.status, 404, end)
    }
  })
})

suite('the command line', { timeout: 120_000 }, () => {
  test('exits by what was found', async () => {
    const shelf = new Shelf()
    const { uris } = await soundCollection(shelf, 3)
    const gone = shelf.json({ gone: 1 })
    shelf.blocks.delete(gone)
    const sound = caip19(await deployCollection(chain, uris))
    const broken = caip19(await deployCollection(chain, [...uris, `ipfs://${gone.toString()}`]))
    const environment = { HOLDFAST_URL: api.url, HOLDFAST_TOKEN: api.token }
    const run = (...words: string[]) => runCli(['collection', 'verify', '--block', 'latest', ...words], { environment })
    await withVerifier(api, { pool, holders: () => Promise.resolve([shelf]) }, async () => {
      const good = await run(sound)
      assert.equal(good.exitCode, 0, good.stderr)
      assert.match(good.stdout, /3 tokens at block \d+, found by enumerable\nVERIFIED\t3/)
      const bad = await run(broken)
      assert.equal(bad.exitCode, 5)
      assert.match(bad.stderr, /1 MISSING/)
      assert.equal((await run(broken, '--fail-on', 'none')).exitCode, 0)
      assert.equal((await run(sound, '--fail-on', 'verified')).exitCode, 5)
      assert.equal((await run(sound, '--fail-on', 'MISING')).exitCode, 2)
      assert.equal((await run('eip155:1/erc20:0x00')).exitCode, 2)
      assert.equal((await run(caip19('0x00000000000000000000000000000000000000aa'))).exitCode, 4)
    })
  })
})
