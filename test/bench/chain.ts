import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { Contract, FetchRequest, JsonRpcProvider } from 'ethers'
import { createPublicClient, http, parseAbi } from 'viem'
import { decodeString } from '../../services/chain/abi-bytes.ts'
import { readContract } from '../../services/chain/contract-profile.ts'
import { enumerateTokens } from '../../services/chain/enumerate.ts'
import type { Hex } from '../../services/chain/hex.ts'
import { pinBlock } from '../../services/chain/pin-block.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { Provider } from '../../services/chain/provider.ts'
import { readTokens } from '../../services/chain/read-tokens.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { callOf, wordsOf } from '../support/contract-call.ts'
import { openZoo } from '../support/rpc-zoo.ts'
import { median, type Row } from './rows.ts'

/**
 * Reading a whole collection from a chain of this machine: our way, and the best ways of ethers and viem in the same
 * run, rounds interleaved.
 */

const TOKENS = 10_000
/** The slower ways read a part. */
const PEER_TOKENS = 2_000
const ROUNDS = 3
const ROOT = resolve(import.meta.dirname, '../..')
const BASE = 'ipfs://bafybeidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u/'
const ABI = ['function tokenURI(uint256 tokenId) view returns (string)'] as const

export async function benchChain(): Promise<Row[]> {
  await using chain = await startChain()
  const address = await chain.deploy('Fixture721', wordsOf('string', BASE))
  for (let from = 0; from < TOKENS; from += 200) {
    await chain.send(address, callOf('mint(uint256,uint256)', from, 200))
  }
  const { hash } = await chain.head()
  const ids = Array.from({ length: TOKENS }, (_, index) => BigInt(index))
  const part = ids.slice(0, PEER_TOKENS)
  const rates = { ours: [] as number[], ethers: [] as number[], viem: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    rates.ours.push(await rate(TOKENS, () => byProbe(chain.url, address, hash, ids)))
    rates.ethers.push(await rate(PEER_TOKENS, () => byEthers(chain.url, address, part)))
    rates.viem.push(await rate(PEER_TOKENS, () => byViem(chain.url, address, part)))
  }
  const ours = median(rates.ours)
  await using zoo = await openZoo(chain.url)
  await byProbe(zoo.url, address, hash, ids)
  return [
    peerRow('ethers, batches of 100', ours, median(rates.ethers), 10),
    peerRow('viem, multicall', ours, median(rates.viem), 2),
    {
      what: `calls for ${TOKENS} tokens, found by index and read`,
      measured: String(zoo.requests),
      against: `${TOKENS} calls, one a token`,
      ratio: zoo.requests / TOKENS,
      target: '<= 30',
      isMet: zoo.requests <= 30,
    },
    await logsRow(),
    await hostileRow(chain),
    await startRow(),
    await suiteRow(),
  ]
}

/** What the tests of chains put on theirs. */
const FIXTURES: readonly [name: string, words?: string][] = [
  ['Fixture721', wordsOf('string', BASE)],
  ['Fixture721A', wordsOf('uint256,string', 5_000, BASE)],
  ['Fixture1155', wordsOf('string', BASE)],
  ['FixtureEvents'],
  ['FixtureExtended'],
  ['FixtureUris'],
  ['FixtureEas'],
  ['Hostile721'],
  ['HostileResolver'],
  ['LyingIndex721'],
  ['MiniRegistry'],
  ['MiniResolver'],
]

/** A chain that is new, with all fixtures, compiled before. */
async function startRow(): Promise<Row> {
  const times: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const start = performance.now()
    await using chain = await startChain()
    for (const [name, words] of FIXTURES) await chain.deploy(name, words)
    // The first one has to compile them.
    if (round > 0) times.push((performance.now() - start) / 1_000)
  }
  return secondsRow(`a chain for tests, started, with ${FIXTURES.length} contracts`, median(times), 1.5)
}

/** All tests of chains, as many files at once as the machine has cores. */
async function suiteRow(): Promise<Row> {
  const words = ['--test', '--test-concurrency=2', '--test-global-setup=test/support/setup.ts', 'test/chain/*.test.ts']
  const start = performance.now()
  const suite = spawn(process.execPath, words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] })
  const [said, [code]] = await Promise.all([text(suite.stdout), once(suite, 'exit') as Promise<[number | null]>])
  if (code !== 0) throw new Error(`a test of chains failed:\n${said.slice(said.indexOf('failing tests'))}`)
  return secondsRow('all tests of test/chain, two files at once', (performance.now() - start) / 1_000, 60)
}

function secondsRow(what: string, seconds: number, most: number): Row {
  const target = `< ${most} s`
  return { what, measured: `${seconds.toFixed(1)} s`, against: '', ratio: undefined, target, isMet: seconds < most }
}

/** A provider's range of blocks, and a chain of a hundred such ranges: as a million blocks by ten thousand. */
const RANGE = 20
const RANGES = 100

/** A contract without an index, of whose tokens some were made in each block. */
async function logsRow(): Promise<Row> {
  await using chain = await startChain()
  const each = TOKENS / (RANGE * RANGES)
  const address = await chain.deploy('Fixture721A', wordsOf('uint256,string', each, BASE))
  for (let minted = each; minted < TOKENS; minted += each) {
    await chain.send(address, callOf('mint(uint256)', each))
  }
  await using zoo = await openZoo(chain.url, { mostBlocks: RANGE })
  const pool = new ProviderPool([{ name: 'bench', url: zoo.url }])
  const signal = new AbortController().signal
  const wanted = {
    pool,
    address,
    standard: 'erc721',
    block: await pinBlock(pool, 'latest', { signal }),
    signal,
  } as const
  const { coverage, batches } = await enumerateTokens(wanted, await readContract(address, wanted))
  let read = 0
  for await (const batch of batches) read += batch.length
  if (read !== TOKENS || !coverage.isComplete) throw new Error(`${read} tokens were found: ${coverage.gaps.join(' ')}`)
  return {
    what: `calls for ${TOKENS} tokens, found by logs in ${RANGES} ranges that the provider allows, and read`,
    measured: String(zoo.requests),
    against: `${RANGES} ranges`,
    ratio: zoo.requests / RANGES,
    target: '<= 160',
    isMet: zoo.requests <= 160,
  }
}

async function rate(tokens: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return tokens / ((performance.now() - start) / 1_000)
}

function peerRow(name: string, ours: number, peer: number, target: number): Row {
  const shown = (perSecond: number): string => `${Math.round(perSecond).toLocaleString('en')} tokens/s`
  return {
    what: 'tokens found by index and read',
    measured: shown(ours),
    against: `${name}, by id: ${shown(peer)}`,
    ratio: ours / peer,
    target: `>= ${target}`,
    isMet: ours / peer >= target,
  }
}

async function byProbe(url: string, address: Hex, blockHash: Hex, items: readonly bigint[]): Promise<void> {
  const reads = await readTokens(new Provider({ name: 'bench', url }), { address, items, byIndex: true, blockHash })
  checked(reads.map(({ returned }) => decodeString(returned)))
}

async function byEthers(url: string, address: Hex, ids: readonly bigint[]): Promise<void> {
  const provider = new JsonRpcProvider(new FetchRequest(url), undefined, { batchMaxCount: 100, staticNetwork: true })
  const contract = new Contract(address, ABI, provider)
  checked(await Promise.all(ids.map((id) => contract.getFunction('tokenURI')(id) as Promise<string>)))
  provider.destroy()
}

async function byViem(url: string, address: Hex, ids: readonly bigint[]): Promise<void> {
  const client = createPublicClient({ transport: http(url) })
  // As many calls as the code that init code may return has room for (EIP-170).
  const contracts = ids.map((id) => ({ address, abi: parseAbi(ABI), functionName: 'tokenURI', args: [id] }) as const)
  checked(await client.multicall({ contracts, allowFailure: false, deployless: true, batchSize: 80 * 36 }))
}

function checked(uris: readonly (string | undefined)[]): void {
  const wrong = uris.findIndex((uri, index) => uri !== `${BASE}${index}.json`)
  if (wrong !== -1) throw new Error(`token ${wrong} is read as ${String(uris[wrong])}`)
}

/** A contract nine of whose ten tokens are traps: all good ones have to come, by one call. */
async function hostileRow(chain: TestChain): Promise<Row> {
  const address = await chain.deploy('Hostile721')
  const { hash: blockHash } = await chain.head()
  const provider = new Provider({ name: 'bench', url: chain.url })
  const items = Array.from({ length: 20 }, (_, index) => BigInt(index))
  const times: number[] = []
  for (let round = 0; round < 5; round++) {
    const start = performance.now()
    const reads = await readTokens(provider, { address, items, blockHash })
    times.push(performance.now() - start)
    const good = reads.filter(({ returned }) => decodeString(returned)?.startsWith('ipfs://')).length
    if (good !== 4) throw new Error(`${good} good tokens were read`)
  }
  const ms = median(times)
  return {
    what: 'a hostile contract, 20 tokens of all kinds of traps',
    measured: `${ms.toFixed(0)} ms`,
    against: '',
    ratio: undefined,
    target: '< 50 ms',
    isMet: ms < 50,
  }
}
