import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'
import { AbiCoder } from 'ethers'
import { wordOf } from '../../services/chain/hex.ts'
import { CID } from 'multiformats/cid'
import { startChain, type TestChain } from '../support/anvil.ts'
import { Cluster } from '../support/cluster.ts'
import { deployCollection } from '../support/collections.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import { isWholeOn } from '../support/own-disk.ts'
import { pngOf } from '../support/png.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { runCli } from '../support/run-cli.ts'
import { flipBitsOf } from '../support/spoiled-disk.ts'
import { until } from '../support/until.ts'

/**
 * Ten thousand tokens of the three usual kinds of contracts, with real folders of images and metadata that a whole cluster
 * keeps, and faults of ten kinds among them: a verification finds these, and nothing else.
 */

const CHECKER = resolve(import.meta.dirname, '../fixtures/check-proof.mjs')
const NOBODY_HAS = 'bafkreidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u'
const NAME = 'k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8'

type Metadata = Record<string, unknown> & { image: string }
/** What is wrong with a token: the text of its metadata file in place of the sound one, or no file; and its verdict. */
type Fault = readonly [metadata: (sound: Metadata) => string | undefined, verdict: string, reason: string | null]

const FAULTS = {
  'no metadata': [() => undefined, 'MISSING', 'NO_SUCH_PATH'],
  'no such image': [(sound) => JSON.stringify({ ...sound, image: `${sound.image}.gone` }), 'MISSING', 'NO_SUCH_PATH'],
  'an image that nobody has': [
    (sound) => JSON.stringify({ ...sound, image: `ipfs://${NOBODY_HAS}` }),
    'MISSING',
    'NOBODY_HAS_IT',
  ],
  'metadata cut short': [(sound) => JSON.stringify(sound).slice(0, -9), 'INVALID_METADATA', 'NOT_JSON'],
  'a key twice': [
    (sound) => JSON.stringify(sound).replace('{', '{"image":"ipfs://",'),
    'INVALID_METADATA',
    'DUPLICATE_KEY',
  ],
  'an image on a server': [
    (sound) => JSON.stringify({ ...sound, image: 'https://images.example/1.png' }),
    'CENTRALISED',
    'SERVER',
  ],
  'an image under a name': [(sound) => JSON.stringify({ ...sound, image: `ipns://${NAME}` }), 'MUTABLE', 'NAME'],
  'an image on Arweave': [
    (sound) => JSON.stringify({ ...sound, animation_url: 'ar://abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG' }),
    'OTHER_NETWORK',
    'OTHER_NETWORK',
  ],
  'another image than it says': [
    (sound) => JSON.stringify({ ...sound, image_details: { sha256: '00'.repeat(32) } }),
    'MISMATCH',
    'IMAGE_SHA256',
  ],
  'an image at one gateway': [
    (sound) => JSON.stringify({ ...sound, image: sound.image.replace('ipfs://', 'https://ipfs.io/ipfs/') }),
    'VERIFIED_GATEWAY_LINK',
    null,
  ],
} satisfies Record<string, Fault>

const opened = new AsyncDisposableStack()
let chain: TestChain
let cluster: Cluster
let place: string

before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-collections-'))
  opened.defer(() => rm(place, { recursive: true, force: true }))
  chain = opened.use(await startChain())
  cluster = opened.use(await Cluster.start({ HOLDFAST_CHAIN_RPC: chain.url }))
})
after(() => opened.disposeAsync())

async function holdfast(...words: string[]) {
  return await runCli([...words, '--json'], { environment: { HOLDFAST_DATA: cluster.folder } })
}

/** Pins the folder on all it takes, and answers its CID. */
async function keep(folder: string): Promise<string> {
  const { exitCode, stdout, stderr } = await holdfast('up', folder, '--wait')
  assert.equal(exitCode, 0, stderr)
  return (JSON.parse(stdout) as { cid: string }).cid
}

/** Images and metadata of so many tokens. Answers the URI below which the metadata lies, and the faults by the place of the token. */
async function makeFolders(name: string, fileNames: readonly string[]) {
  const images = join(place, `${name}-images`)
  const metadata = join(place, `${name}-metadata`)
  await mkdir(images)
  await mkdir(metadata)
  for (const token of fileNames.keys()) await writeFile(join(images, `${token}.png`), pngOf(token))
  const imageRoot = await keep(images)
  const kinds = Object.values(FAULTS) as readonly Fault[]
  const faults = new Map<number, Fault>()
  for (const [index, fault] of kinds.entries()) {
    faults.set(index, fault)
    faults.set(Math.floor(fileNames.length / 2) + index * 3, fault)
  }
  for (const [token, fileName] of fileNames.entries()) {
    const sound = { name: `${name} #${token}`, image: `ipfs://${imageRoot}/${token}.png`, attributes: [] }
    const fault = faults.get(token)
    const text = fault === undefined ? JSON.stringify(sound) : fault[0](sound)
    if (text !== undefined) await writeFile(join(metadata, fileName), text)
  }
  return { base: `ipfs://${await keep(metadata)}/`, faults }
}

interface Finding {
  verdict: string
  reason: string | null
  links: { pin: { holders: { node: string; verifiedAt: string }[] } }[]
}

interface Report {
  findings: { createdAt: string; tokens: Finding[] }
  pointers: { coverage: { strategy: string; isComplete: boolean }; tokens: { id: string }[] }
}

async function verify(collection: string, { exits = 5, more = [] as string[] } = {}): Promise<Report> {
  const report = join(place, 'report.json')
  const words = ['collection', 'verify', collection, '--block', 'latest', '--report', report, ...more]
  const { exitCode, stderr } = await holdfast(...words)
  assert.equal(exitCode, exits, stderr)
  return JSON.parse(await readFile(report, 'utf8')) as Report
}

/** That the report has these faults and no others, by the ids from the first on. */
function assertFaults({ findings, pointers }: Report, faults: ReadonlyMap<number, Fault>, firstId: number): void {
  const found = findings.tokens.flatMap(({ verdict, reason }, index) =>
    verdict === 'VERIFIED' ? [] : [[Number(pointers.tokens[index]?.id) - firstId, verdict, reason]],
  )
  const planted = [...faults].map(([place, [, verdict, reason]]) => [place, verdict, reason])
  const byPlace = (a: unknown[], b: unknown[]): number => Number(a[0]) - Number(b[0])
  assert.deepEqual(found.sort(byPlace), planted.sort(byPlace))
}

function words(types: readonly string[], ...values: readonly unknown[]): string {
  return AbiCoder.defaultAbiCoder().encode(types, values).slice(2)
}

function numbered(count: number, nameOf: (id: number) => string): string[] {
  return Array.from({ length: count }, (_, id) => nameOf(id))
}

suite('of ten thousand tokens', { timeout: 600_000 }, () => {
  test('4,000 of an enumerable contract: every planted fault is found, and nothing else', async () => {
    const { base, faults } = await makeFolders(
      'enumerable',
      numbered(4_000, (id) => `${id}.json`),
    )
    const address = await chain.deploy('Fixture721', words(['string'], base))
    for (let from = 0; from < 4_000; from += 200) {
      await chain.send(address, selectorOf('mint(uint256,uint256)') + wordOf(from) + wordOf(200))
    }
    const collection = `eip155:31337/erc721:${address}`
    const report = await verify(collection)
    assert.equal(report.pointers.tokens.length, 4_000)
    assert.equal(report.pointers.coverage.strategy, 'enumerable')
    assertFaults(report, faults, 0)

    // What it found to be pinned is proved, and checked by a program that shares nothing with this one.
    const proof = join(place, 'proof.json')
    const proved = await holdfast('proof', 'create', '--collection', collection, '--out', proof)
    assert.equal(proved.exitCode, 0, proved.stderr)
    const checked = await promisify(execFile)(process.execPath, [CHECKER, proof])
    assert.match(checked.stdout, /^0x[0-9a-f]{40}\n$/)
    const { statements } = JSON.parse(await readFile(proof, 'utf8')) as { statements: { replicas: number }[] }
    assert.deepEqual(
      statements.map(({ replicas }) => replicas),
      // The folders of metadata and of images.
      [3, 3],
    )
  })

  test('5,000 that one event made: every planted fault is found, and nothing else', async () => {
    const { base, faults } = await makeFolders('consecutive', numbered(5_000, String))
    const address = await chain.deploy('Fixture721A', words(['uint256', 'string'], 5_000, base))
    const report = await verify(`eip155:31337/erc721:${address}`)
    assert.equal(report.pointers.tokens.length, 5_000)
    assert.equal(report.pointers.coverage.isComplete, true)
    assertFaults(report, faults, 0)
  })

  test('1,000 of ERC-1155 under one template: every planted fault is found, and nothing else', async () => {
    const { base, faults } = await makeFolders(
      'template',
      numbered(1_000, (id) => `${wordOf(id + 1)}.json`),
    )
    const address = await chain.deploy('Fixture1155', words(['string'], `${base}{id}.json`))
    for (let from = 1; from < 1_000; from += 200) {
      await chain.send(address, selectorOf('mintBatch(uint256,uint256)') + wordOf(from) + wordOf(200))
    }
    const report = await verify(`eip155:31337/erc1155:${address}`)
    assert.equal(report.pointers.tokens.length, 1_000)
    assertFaults(report, faults, 1)
  })
})

suite('a collection whose holders read their copies back', { timeout: 120_000 }, () => {
  test('counts none that is older than the look, and none that the disk has spoiled', async () => {
    const image = seededBytes(77, 400_000)
    const { cid, pin } = await cluster.upload(image, '?name=image')
    const metadata = await cluster.upload(JSON.stringify({ image: `ipfs://${cid}` }), '?name=metadata')
    for (const { requestid } of [pin, metadata.pin]) await cluster.pinned(requestid, 3)
    const address = await deployCollection(chain, [`ipfs://${metadata.cid}`])
    const spoiled = cluster.node(2)
    assert.ok((await flipBitsOf(spoiled, image.subarray(200_000, 200_064))) > 0)

    const { findings } = await verify(`eip155:31337/erc721:${address}`, { exits: 0, more: ['--rehash'] })
    const [found] = findings.tokens
    assert.equal(found?.verdict, 'VERIFIED')
    const holders = found.links.map((link) => link.pin.holders)
    for (const { verifiedAt } of holders.flat()) assert.ok(verifiedAt >= findings.createdAt, verifiedAt)
    assert.equal(holders[0]?.length, 3)
    await until('a whole copy in the place of the spoiled one', () => isWholeOn(spoiled, CID.parse(cid)))
  })
})
