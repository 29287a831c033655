import type { Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { DEFAULT_GUARD_SETTINGS } from '../../services/verifier/guard/settings.ts'
import { SENDER } from '../support/chain-storm.ts'
import { callOf } from '../support/contract-call.ts'
import { GuardedChain } from '../support/guarded-chain.ts'
import { openZoo } from '../support/rpc-zoo.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { until } from '../support/until.ts'
import { percentile, type Row } from './rows.ts'

/**
 * How soon what is pinned is known to be final, on chains with a block each second whose final block moves by many at once.
 */

const BLOCKS = 290
/** Until the pace is known. */
const WARM_UP = 120
const LAG = 40
const MIN_DEPTH = 32
/** Logs of others are in each block. */
const OTHERS_MS = 450

interface Course {
  name: string
  /** Blocks between two moves. */
  step: () => number
  /** How often a token is made. */
  mintMs: number
}

export async function benchFinality(): Promise<Row[]> {
  const random = seededRandom(1)
  const few = { mintMs: 4_000 }
  const rows = await Promise.all([
    benchCourse({ name: 'by 32 blocks', step: () => 32, ...few }),
    benchCourse({ name: 'by 10 to 40 blocks', step: () => 10 + Math.floor(random() * 31), ...few }),
    benchCourse({ name: 'by 32 blocks, events in each', step: () => 32, mintMs: 450 }),
  ])
  return rows.flat()
}

async function benchCourse({ name, step, mintMs }: Course): Promise<Row[]> {
  await using at = await GuardedChain.open()
  const moves: number[] = []
  for (let move = 2 * LAG; move < 2 * BLOCKS; move += step()) moves.push(move)
  const finalOf = (head: number): number => (moves.findLast((move) => move <= head) ?? 0) - LAG
  await using zoo = await openZoo(at.chain.url, { finalOf })
  const address = await at.chain.deploy('FixtureEvents')
  const { uri } = at.addToken('one')
  await at.chain.rpc.call({ method: 'evm_setIntervalMining', params: [1] })
  const pool = new ProviderPool([{ name: 'zoo', url: zoo.url }])
  at.run({ ...DEFAULT_GUARD_SETTINGS, minDepth: MIN_DEPTH }, { pool })
  const guardId = await at.guard(address)
  // Blocks of a real chain have logs of others.
  const other = await at.chain.deploy('FixtureEvents')
  let id = 0
  const mint = (to: Hex): void => {
    const transaction = { from: SENDER, to, data: callOf('mintAs(uint256,string)', id++, uri), gas: '0xf4240' }
    // A token that is not made is not waited for.
    at.chain.rpc.call({ method: 'eth_sendTransaction', params: [transaction] }).catch(() => undefined)
  }
  const minting = [setInterval(mint, mintMs, address), setInterval(mint, OTHERS_MS, other)]
  const calls = (): number => (zoo.calls.get('eth_getBlockByNumber') ?? 0) + (zoo.calls.get('eth_getLogs') ?? 0)
  const late = new Map<string, number>()
  let before: { calls: number; head: number } | undefined
  let head = 0
  await until(
    'the last block',
    async () => {
      const found = await at.cluster.db.query<{ token: string; block: string }>(
        `select token_id::text as token, from_number as block from guard_uri
          where guard_id = $1 and is_final and token_id >= 0`,
        [guardId],
      )
      head = Number((await at.chain.head()).number)
      if (head < WARM_UP) return false
      before ??= { calls: calls(), head }
      for (const { token, block } of found) {
        if (!late.has(token)) late.set(token, head - finalAt(Number(block)))
      }
      return head >= BLOCKS
    },
    2_000 * BLOCKS,
  ).finally(() => minting.forEach(clearInterval))
  const counted = [...late.values()].filter((blocks) => Number.isFinite(blocks))
  const blocks = head - (before?.head ?? 0)
  const perBlock = (calls() - (before?.calls ?? 0)) / blocks
  const p95 = percentile(counted, 0.95)
  return [
    {
      what: `blocks from the move of what is final to the state of a pin, p95: ${name}`,
      measured: String(p95),
      against: `${counted.length} tokens, at most ${Math.max(...counted)}`,
      ratio: undefined,
      target: '<= 1',
      isMet: p95 <= 1 && counted.length > 0,
    },
    {
      what: `calls for each block, while tokens wait to be final: ${name}`,
      measured: perBlock.toFixed(2),
      against: `${blocks} blocks`,
      ratio: undefined,
      target: '<= 2',
      isMet: perBlock <= 2,
    },
  ]

  /** The first block at which a block could be known to be final; those of the warm-up count not. */
  function finalAt(block: number): number {
    const move = moves.find((one) => one - LAG >= block) ?? Number.POSITIVE_INFINITY
    const first = Math.max(move, block + MIN_DEPTH)
    return first > WARM_UP ? first : Number.NaN
  }
}
