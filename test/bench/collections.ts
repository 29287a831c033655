import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { openDatabase, type Database } from '../../services/catalog/database.ts'
import { startEmbedded } from '../../services/catalog/embedded.ts'
import { migrate } from '../../services/catalog/migrate.ts'
import { takeVerification } from '../../services/catalog/verifications-work.ts'
import { createVerification, reportedTokens } from '../../services/catalog/verifications.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { RAW } from '../../services/core/cid.ts'
import type { Finding } from '../../services/core/collection-report/finding.ts'
import { KIB, MIB, MINUTE_MS } from '../../services/core/units.ts'
import { addDirectory, type DirectoryItem } from '../../services/dag/add-directory.ts'
import type { Holder } from '../../services/verifier/checked-source.ts'
import { performVerification } from '../../services/verifier/perform.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { callOf, wordsOf } from '../support/contract-call.ts'
import { cidOf, MemoryBlocks, pseudoRandomBytes } from '../support/dag.ts'
import type { FreshDatabase } from '../support/postgres.ts'
import { openZoo } from '../support/rpc-zoo.ts'
import { median, type Row } from './rows.ts'

/**
 * A whole look at a collection: from an address to a verdict with evidence for each token, in a Postgres that syncs its
 * commits. Chain, content and database are on this machine; nothing is pinned, so that the best verdict is NOT_PINNED_HERE.
 */

/** A collection of so many tokens, each with an image. */
interface Shape {
  tokens: number
  imageBytes: number
  faulty: boolean
}

const USUAL: Shape = { tokens: 10_000, imageBytes: 4 * KIB, faulty: true }
const MANY: Shape = { tokens: 100_000, imageBytes: 64, faulty: true }
const LARGE: Shape = { tokens: 64, imageBytes: 8 * MIB, faulty: false }
const ROUNDS = 3
const NAME = 'k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8'
/** Of 100 tokens one has each of these faults. */
const FAULTS: readonly [verdict: string, reason: string | null][] = [
  ['MISSING', 'NOBODY_HAS_IT'],
  ['MISSING', 'NOBODY_HAS_IT'],
  ['CORRUPT', 'WRONG_BYTES'],
  ['INVALID_METADATA', 'NOT_JSON'],
  ['CENTRALISED', 'SERVER'],
  ['MUTABLE', 'NAME'],
  ['INVALID_METADATA', 'DUPLICATE_KEY'],
]

export async function benchCollections(): Promise<Row[]> {
  await using stack = new AsyncDisposableStack()
  const api = stack.use(await openTestApi({ db: await openBenchDatabase(stack), readsChain: true }))
  const bench: Bench = { api, chain: stack.use(await startChain()) }
  return [...(await benchUsual(bench)), await benchLarge(bench), await benchMany(bench)]
}

interface Bench {
  api: TestApi
  chain: TestChain
}

async function benchUsual(bench: Bench): Promise<Row[]> {
  const made = await make(bench.chain, USUAL)
  const { ours, hashing, ids } = await againstHashing(bench, made)
  const id = ids.at(-1) ?? ''
  await using zoo = await openZoo(bench.chain.url)
  await look(bench.api, made, zoo.url)
  const rate = USUAL.tokens / ours
  return [
    {
      what: `${thousands(USUAL.tokens)} tokens with images of 4 KiB looked at`,
      measured: `${thousands(rate)} tokens/s`,
      against: `${thousands(USUAL.tokens / hashing)} tokens/s hashed`,
      ratio: hashing / ours,
      target: '>= 5,000 tokens/s',
      isMet: rate >= 5_000,
    },
    wrongRow(USUAL, await wrongVerdicts(bench.api.db, id, USUAL)),
    figure('requests to the chain for them', String(zoo.requests), '<= 30', zoo.requests <= 30),
    ...(await benchReport(bench.api, made, id)),
  ]
}

/** What is hashed counts for all: it should be most of the work. */
async function benchLarge(bench: Bench): Promise<Row> {
  const { ours, hashing } = await againstHashing(bench, await make(bench.chain, LARGE))
  const mebibytes = (LARGE.tokens * LARGE.imageBytes) / MIB
  return {
    what: `${LARGE.tokens} tokens with images of ${LARGE.imageBytes / MIB} MiB looked at`,
    measured: `${thousands(mebibytes / ours)} MiB/s`,
    against: `${thousands(mebibytes / hashing)} MiB/s hashed`,
    ratio: hashing / ours,
    target: '>= 0.6',
    isMet: hashing / ours >= 0.6,
  }
}

async function benchMany({ api, chain }: Bench): Promise<Row> {
  const id = await look(api, await make(chain, MANY), chain.url)
  return wrongRow(MANY, await wrongVerdicts(api.db, id, MANY))
}

async function benchReport(api: TestApi, { collection }: Made, id: string): Promise<Row[]> {
  const start = performance.now()
  const sizes: number[] = []
  for (const form of ['json', 'html']) {
    const path = `/v1/collections/${encodeURIComponent(collection)}/verifications/${id}.${form}`
    const response = await api.send('GET', path)
    if (response.status !== 200) throw new Error(`${path} answered ${response.status}`)
    sizes.push((await response.bytes()).length / 1e6)
  }
  const seconds = (performance.now() - start) / 1_000
  const [json = 0, html = 0] = sizes
  return [
    figure('its report in JSON', `${json.toFixed(1)} MB`, '<= 8 MB', json <= 8),
    figure('its report as a page', `${html.toFixed(2)} MB`, '<= 1.5 MB', html <= 1.5),
    figure('both over HTTP', `${seconds.toFixed(2)} s`, '< 2 s', seconds < 2),
  ]
}

function wrongRow({ tokens }: Shape, wrong: number): Row {
  const what = `wrong verdicts of ${thousands(tokens)}, ${FAULTS.length} kinds of faults in 1 % each`
  return figure(what, String(wrong), '0', wrong === 0)
}

function figure(what: string, value: string, target: string, isMet: boolean): Row {
  return { what, measured: value, against: '', ratio: undefined, target, isMet }
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** Seconds of a look, and of hashing the same images, in turn. */
async function againstHashing(bench: Bench, made: Made): Promise<{ ours: number; hashing: number; ids: string[] }> {
  const rounds = { ours: [] as number[], hashing: [] as number[], ids: [] as string[] }
  for (let round = 0; round < ROUNDS; round++) {
    let start = performance.now()
    rounds.ids.push(await look(bench.api, made, bench.chain.url))
    rounds.ours.push((performance.now() - start) / 1_000)
    start = performance.now()
    for (const bytes of made.contents) hash('sha256', bytes, 'buffer')
    rounds.hashing.push((performance.now() - start) / 1_000)
  }
  return { ours: median(rounds.ours), hashing: median(rounds.hashing), ids: rounds.ids }
}

async function look({ db, tenantId }: TestApi, { collection, holder }: Made, url: string): Promise<string> {
  const { id } = await createVerification(db, tenantId, { collection, wanted: { block: 'latest' } })
  const run = await takeVerification(db, MINUTE_MS)
  if (run === undefined) throw new Error('there is nothing to do')
  const pool = new ProviderPool([{ name: 'bench', url }])
  const signal = new AbortController().signal
  if (!(await performVerification(run, { db, pool, holders: () => Promise.resolve([holder]), signal }))) {
    throw new Error('its turn was too short')
  }
  return id
}

async function openBenchDatabase(stack: AsyncDisposableStack): Promise<FreshDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const server = await startEmbedded({ folder })
  stack.defer(() => server.stop())
  const db = stack.use(openDatabase(server.url))
  await migrate(db)
  return { ...db, url: server.url }
}

interface Made {
  collection: string
  holder: Holder
  contents: readonly Uint8Array[]
}

async function make(chain: TestChain, shape: Shape): Promise<Made> {
  const { folder, holder, contents } = await content(shape)
  const address = await chain.deploy('Fixture721', wordsOf('string', `ipfs://${folder.toString()}/`))
  for (let from = 0; from < shape.tokens; from += 200) {
    const minted = Math.min(200, shape.tokens - from)
    await chain.send(address, callOf('mint(uint256,uint256)', from, minted))
  }
  return { collection: `eip155:31337/erc721:${address}`, holder, contents }
}

async function content(shape: Shape): Promise<Omit<Made, 'collection'> & { folder: CID }> {
  const { tokens, imageBytes, faulty } = shape
  const blocks = new MemoryBlocks()
  const contents = Array.from({ length: tokens }, (_, id) => pseudoRandomBytes(id + 1, imageBytes))
  const images = await addFiles(blocks, 'png', contents)
  const files = contents.map((_, id) => {
    const image = `ipfs://${images.toString()}/${id}.png`
    const whole = JSON.stringify({ name: `#${id}`, image, attributes: [{ trait_type: 'n', value: id }] })
    const texts: Record<number, string> = {
      3: whole.slice(0, 20),
      4: whole.replace(image, `https://images.example/${id}.png`),
      5: whole.replace(image, `ipns://${NAME}/${id}.png`),
      6: whole.replace('"attributes"', '"name"'),
    }
    return Buffer.from((faulty ? texts[id % 100] : undefined) ?? whole)
  })
  const folder = await addFiles(blocks, 'json', files)
  const corrupt = new Set<string>()
  const end = faulty ? tokens : 0
  for (let id = 0; id < end; id += 100) {
    blocks.delete(cidOf(RAW, files[id] as Uint8Array))
    blocks.delete(cidOf(RAW, contents[id + 1] as Uint8Array))
    corrupt.add(cidOf(RAW, files[id + 2] as Uint8Array).toString())
  }
  const holder: Holder = {
    name: 'memory',
    async get(cid) {
      const bytes = await blocks.get(cid)
      return corrupt.has(cid.toString()) ? new Uint8Array(8) : bytes
    },
  }
  return { folder, holder, contents }
}

/** Adds a folder as uploads do: files of less than a chunk are one raw block, and of many entries it is a HAMT. */
async function addFiles(blocks: MemoryBlocks, extension: string, contents: readonly Uint8Array[]): Promise<CID> {
  function* items(): Generator<DirectoryItem> {
    for (const [id, bytes] of contents.entries()) yield { path: `${id}.${extension}`, content: chunksOf(bytes) }
  }
  return (await addDirectory(items(), blocks)).root
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function wrongVerdicts(db: Database, id: string, { tokens }: Shape): Promise<number> {
  let wrong = 0
  let place = 0
  for await (const { finding } of reportedTokens(db, id)) {
    const [verdict, reason] = FAULTS[place % 100] ?? ['NOT_PINNED_HERE', 'NOT_PINNED_HERE']
    const found = JSON.parse(finding ?? '{}') as Finding
    if (found.verdict !== verdict || found.reason !== reason) wrong += 1
    place += 1
  }
  return place === tokens ? wrong : tokens
}
