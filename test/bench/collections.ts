import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { openDatabase, type Database } from '../../services/catalog/database.ts'
import { startEmbedded } from '../../services/catalog/embedded.ts'
import { migrate } from '../../services/catalog/migrate.ts'
import { ensureDefaultPolicy } from '../../services/catalog/policies.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { takeVerification } from '../../services/catalog/verifications-work.ts'
import { createVerification, reportedTokens } from '../../services/catalog/verifications.ts'
import { wordOf } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { Finding } from '../../services/core/collection-report/finding.ts'
import { MINUTE_MS } from '../../services/core/units.ts'
import type { Holder } from '../../services/verifier/checked-source.ts'
import { performVerification } from '../../services/verifier/perform.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import { MemoryBlocks, pseudoRandomBytes } from '../support/dag.ts'
import { openZoo } from '../support/rpc-zoo.ts'
import { median, type Row } from './rows.ts'

/**
 * A whole look at a collection: from an address to a verdict with evidence for each token, in a Postgres that syncs its
 * commits. Chain, content and database are on this machine; nothing is pinned, so that the best verdict is NOT_PINNED_HERE.
 */

const TOKENS = 10_000
const IMAGE_BYTES = 4_096
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
  const db = await openBenchDatabase(stack)
  const chain = stack.use(await startChain())
  const { folder, holder, contents } = content()
  const address = await deploy(chain, `ipfs://${folder.toString()}/`)
  const collection = `eip155:31337/erc721:${address}`
  const tenantId = await ensureTenant(db, 'bench')
  const look = async (url: string): Promise<string> => {
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
  const rates: number[] = []
  const hashing: number[] = []
  let id = ''
  for (let round = 0; round < ROUNDS; round++) {
    let start = performance.now()
    id = await look(chain.url)
    rates.push(TOKENS / ((performance.now() - start) / 1_000))
    start = performance.now()
    for (const bytes of contents) hash('sha256', bytes, 'buffer')
    hashing.push(TOKENS / ((performance.now() - start) / 1_000))
  }
  const wrong = await wrongVerdicts(db, id)
  await using zoo = await openZoo(chain.url)
  await look(zoo.url)
  const [ours, limit] = [median(rates), median(hashing)]
  return [
    {
      what: `${TOKENS} tokens with images of 4 KiB looked at`,
      measured: `${Math.round(ours).toLocaleString('en')} tokens/s`,
      against: `${Math.round(limit).toLocaleString('en')} tokens/s hashed`,
      ratio: ours / limit,
      target: '>= 5,000 tokens/s',
      isMet: ours >= 5_000,
    },
    {
      what: `wrong verdicts, of ${FAULTS.length} kinds of faults in 1 % each`,
      measured: String(wrong),
      against: '',
      ratio: undefined,
      target: '0',
      isMet: wrong === 0,
    },
    {
      what: `requests to the chain for ${TOKENS} tokens`,
      measured: String(zoo.requests),
      against: '',
      ratio: undefined,
      target: '<= 30',
      isMet: zoo.requests <= 30,
    },
  ]
}

async function openBenchDatabase(stack: AsyncDisposableStack): Promise<Database> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const server = await startEmbedded({ folder })
  stack.defer(() => server.stop())
  const db = stack.use(openDatabase(server.url))
  await migrate(db)
  await ensureDefaultPolicy(db)
  return db
}

async function deploy(chain: TestChain, base: string): Promise<string> {
  const text = Buffer.from(base)
  const words = wordOf(32) + wordOf(text.length) + text.toString('hex').padEnd(192, '0')
  const address = await chain.deploy('Fixture721', words)
  for (let from = 0; from < TOKENS; from += 200) {
    await chain.send(address, selectorOf('mint(uint256,uint256)') + wordOf(from) + wordOf(200))
  }
  return address
}

function content(): { folder: CID; holder: Holder; contents: Uint8Array[] } {
  const blocks = new MemoryBlocks()
  const contents = Array.from({ length: TOKENS }, (_, id) => pseudoRandomBytes(id + 1, IMAGE_BYTES))
  const images = contents.map((bytes) => blocks.addRaw(bytes))
  const imageFolder = blocks.addDirectory(images.map((cid, id) => [`${id}.png`, cid]))
  const files = images.map((_, id) => {
    const image = `ipfs://${imageFolder.toString()}/${id}.png`
    const whole = JSON.stringify({ name: `#${id}`, image, attributes: [{ trait_type: 'n', value: id }] })
    const texts: Record<number, string> = {
      3: whole.slice(0, 20),
      4: whole.replace(image, `https://images.example/${id}.png`),
      5: whole.replace(image, `ipns://${NAME}/${id}.png`),
      6: whole.replace('"attributes"', '"name"'),
    }
    return blocks.addRaw(Buffer.from(texts[id % 100] ?? whole))
  })
  const folder = blocks.addDirectory(files.map((cid, id) => [`${id}.json`, cid]))
  const corrupt = new Set<string>()
  for (let id = 0; id < TOKENS; id += 100) {
    blocks.delete(files[id] as CID)
    blocks.delete(images[id + 1] as CID)
    corrupt.add((files[id + 2] as CID).toString())
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

async function wrongVerdicts(db: Database, id: string): Promise<number> {
  let wrong = 0
  let place = 0
  for await (const { finding } of reportedTokens(db, id)) {
    const [verdict, reason] = FAULTS[place % 100] ?? ['NOT_PINNED_HERE', 'NOT_PINNED_HERE']
    const found = JSON.parse(finding ?? '{}') as Finding
    if (found.verdict !== verdict || found.reason !== reason) wrong += 1
    place += 1
  }
  return place === TOKENS ? wrong : TOKENS
}
