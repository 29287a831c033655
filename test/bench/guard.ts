import type { Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { DEFAULT_GUARD_SETTINGS } from '../../services/verifier/guard/settings.ts'
import { SENDER } from '../support/chain-storm.ts'
import { callOf, wordsOf } from '../support/contract-call.ts'
import { stormOnce } from '../support/follow-storm.ts'
import { GuardedChain } from '../support/guarded-chain.ts'
import { openZoo, type Zoo } from '../support/rpc-zoo.ts'
import { until } from '../support/until.ts'
import { benchFinality } from './guard-finality.ts'
import { percentile, type Row } from './rows.ts'

/**
 * Following a chain and guarding collections on it: a chain and a Postgres of this machine, and nodes that are simulated.
 */

const STORMS = 1_000
const STORMS_AT_ONCE = 6
const BLOCK_MS = 2_000
const CONTRACTS = 20
const WARM_UP = 6
const CHANGES = 24
const TOKENS = 10_000

export async function benchGuard(): Promise<Row[]> {
  return [await benchStorms(), ...(await benchPace()), ...(await benchFinality()), await benchFullRead()]
}

/** Chains that are reorganised at random, each followed to the end. */
async function benchStorms(): Promise<Row> {
  let [next, reorgs, broken, logs, saved, wrong] = [1, 0, 0, 0, 0, 0]
  const storm = async (): Promise<void> => {
    while (next <= STORMS) {
      const seed = next++
      const outcome = await stormOnce(seed)
      reorgs += outcome.reorgs
      broken += outcome.broken
      logs += outcome.logs
      saved += outcome.saved
      const bad = outcome.missing.length + outcome.extra.length + outcome.wrongFilters
      wrong += bad
      if (bad > 0) process.stderr.write(`seed ${seed}: ${JSON.stringify(outcome)}\n`)
    }
  }
  await Promise.all(Array.from({ length: STORMS_AT_ONCE }, storm))
  return {
    what: 'logs missing, twice or stale after storms of reorganisations, providers misbehaving',
    measured: String(wrong),
    against: `${STORMS} seeds, ${reorgs} reorganisations up to 64 deep, ${broken} below what was final; ${logs} logs left, ${saved} blocks ruled out`,
    ratio: undefined,
    target: '0',
    isMet: wrong === 0,
  }
}

/** A chain with a block every two seconds, and contracts of which some change now and then. */
async function benchPace(): Promise<Row[]> {
  await using at = await GuardedChain.open()
  await using zoo = await openZoo(at.chain.url)
  const addresses: Hex[] = []
  for (let n = 0; n < CONTRACTS; n++) addresses.push(await at.chain.deploy('FixtureEvents'))
  await at.chain.rpc.call({ method: 'evm_setIntervalMining', params: [BLOCK_MS / 1_000] })
  at.run(DEFAULT_GUARD_SETTINGS, { pool: poolOf(zoo) })
  for (const address of addresses) await at.guard(address)
  await until('all to be read', () => isRead(at, CONTRACTS), 60_000)
  // Until the pace of the blocks is known.
  for (let change = 0; change < WARM_UP; change++) await delayOf(at, addresses[0] as Hex, 1_000 + change)
  const first = await at.chain.head()
  const before = new Map(zoo.calls)
  const delays: number[] = []
  for (let change = 0; change < CHANGES; change++) {
    delays.push(await delayOf(at, addresses[change % CONTRACTS] as Hex, change))
  }
  const blocks = Number((await at.chain.head()).number - first.number)
  const calls = (method: string): number => (zoo.calls.get(method) ?? 0) - (before.get(method) ?? 0)
  const perBlock = (calls('eth_getBlockByNumber') + calls('eth_getLogs')) / blocks
  const p95 = percentile(delays, 0.95)
  return [
    {
      what: `calls for each unfinalised block, of ${CONTRACTS} contracts`,
      measured: perBlock.toFixed(2),
      against: `${blocks} blocks: ${calls('eth_getBlockByNumber')} of headers, ${calls('eth_getLogs')} of logs`,
      ratio: undefined,
      target: '<= 2',
      isMet: perBlock <= 2,
    },
    {
      what: 'from the block of an event to the pin, p95',
      measured: `${p95.toFixed(0)} ms`,
      against: `a block of ${BLOCK_MS} ms`,
      ratio: p95 / BLOCK_MS,
      target: '<= a block + 2 s',
      isMet: p95 <= BLOCK_MS + 2_000,
    },
  ]
}

function poolOf({ url }: Zoo): ProviderPool {
  return new ProviderPool([{ name: 'zoo', url }])
}

async function isRead(at: GuardedChain, guards: number): Promise<boolean> {
  const rows = await at.cluster.db.query('select from guard where read_at is not null')
  return rows.length === guards
}

/** Milliseconds from the moment at which a token's block is there until its metadata is pinned. */
async function delayOf(at: GuardedChain, address: Hex, change: number): Promise<number> {
  const { uri, roots } = at.addToken(`bench ${change}`)
  const data = callOf('mintAs(uint256,string)', change, uri)
  const params = [{ from: SENDER, to: address, data, gas: '0xf4240' }]
  const hash = await at.chain.rpc.call({ method: 'eth_sendTransaction', params })
  await until('the block', async () =>
    Boolean(await at.chain.rpc.call({ method: 'eth_getTransactionReceipt', params: [hash] })),
  )
  const start = performance.now()
  await until('the pin', async () => (await at.roots()).some((root) => roots.includes(root)))
  return performance.now() - start
}

/** The second reading of all tokens: the one that comes again each hour. */
async function benchFullRead(): Promise<Row> {
  await using at = await GuardedChain.open()
  await using zoo = await openZoo(at.chain.url)
  const folder = at.addFolder([])
  const address = await at.chain.deploy('Fixture721', wordsOf('string', `ipfs://${folder.toString()}/`))
  for (let from = 0; from < TOKENS; from += 200) {
    await at.chain.send(address, callOf('mint(uint256,uint256)', from, 200))
  }
  at.run({ ...DEFAULT_GUARD_SETTINGS, pollMs: 60_000 }, { pool: poolOf(zoo) })
  const guardId = await at.guard(address)
  await until('all to be read', () => isRead(at, 1), 60_000)
  const tokens = (await at.uris(guardId)).size
  const readAt = await at.cluster.db.query<{ at: string }>('select read_at as at from guard')
  const calls = reads(zoo)
  await at.cluster.db.run('update guard set full_due_at = now()')
  await until('all to be read again', async () => {
    const [row] = await at.cluster.db.query<{ at: string }>('select read_at as at from guard')
    return row?.at !== readAt[0]?.at
  })
  const again = reads(zoo) - calls
  return {
    what: `calls to read ${TOKENS} tokens again`,
    measured: String(again),
    against: `${tokens} tokens known`,
    ratio: undefined,
    target: '<= 26',
    isMet: again <= 26 && tokens === TOKENS,
  }
}

/** Requests but those that follow the chain. */
function reads({ requests, calls }: Zoo): number {
  return requests - (calls.get('eth_getBlockByNumber') ?? 0) - (calls.get('eth_getLogs') ?? 0)
}
