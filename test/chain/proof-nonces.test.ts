import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, suite, test } from 'node:test'
import { quoteCall, sendTransaction, signCall } from '../../services/chain/anchor/transaction.ts'
import { readChainKey, type ChainKey } from '../../services/chain/chain-key.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { RpcFailure } from '../../services/chain/rpc-failure.ts'
import { Anchoring } from '../support/anchoring.ts'
import { withProver } from '../support/proofs.ts'
import { until } from '../support/until.ts'

let at: Anchoring
const stack = new AsyncDisposableStack()

before(async () => {
  at = stack.use(await Anchoring.open())
})
after(() => stack.disposeAsync())

/** An account with money. */
async function newKey(): Promise<ChainKey> {
  const key = readChainKey(randomBytes(32).toString('hex'), 'the key of a test')
  await at.rpc('anvil_setBalance', key.address, '0xde0b6b3a7640000')
  return key
}

async function countOf({ address }: ChainKey, block = 'latest'): Promise<number> {
  return Number(await at.rpc('eth_getTransactionCount', address, block))
}

/** The proof is due, for whoever comes next. */
async function makeDue(id: string): Promise<void> {
  await at.api.db.run('update proof set lease = null, lease_until = null, due_at = now() where id = $1', [id])
}

suite('an anchor', { timeout: 180_000 }, () => {
  test('is sent by one of two processes, though the first was held up until its lease had gone', async () => {
    const key = await newKey()
    const id = await at.ask('event')
    const held = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const resumed = Promise.withResolvers<void>()
    const slow = at.poolBy(async ({ method }, pass) => {
      if (method !== 'eth_getBalance') return await pass()
      reached.resolve()
      await held.promise
      return await pass().finally(() => resumed.resolve())
    })
    await withProver(at.api, { pool: slow, anchors: at.anchors(key) }, async () => {
      await reached.promise
      await makeDue(id)
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, () => at.sends(id))
      held.resolve()
      await resumed.promise
      await at.final(id)
    })
    assert.equal((await at.sentOf(id)).length, 1)
    assert.equal(await countOf(key), 1)
  })

  test('is not sent under another nonce because the answer of the provider was lost', async () => {
    const key = await newKey()
    const id = await at.ask('event')
    const deaf = at.poolBy(async ({ method }, pass) => {
      if (method !== 'eth_sendRawTransaction') return await pass()
      await pass().catch(() => undefined)
      throw new RpcFailure('unreachable', 'A provider of the chain could not be reached.')
    })
    await at.withoutMining(async () => {
      await withProver(at.api, { pool: deaf, anchors: at.anchors(key, { giveUpAfterMs: 1 }) }, async () => {
        const { anchor } = await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
        assert.equal(anchor?.state, 'pending', 'what may be out is not given up')
      })
      assert.equal((await at.sentOf(id)).length, 1)
    })
    await makeDue(id)
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, () => at.final(id))
    assert.equal((await at.sentOf(id)).length, 1)
    assert.equal(await countOf(key), 1)
  })

  test('that waits behind another costs no more for that: only the first is replaced', async () => {
    const key = await newKey()
    const ids = [await at.ask('pin-anchor'), await at.ask('eas-timestamp'), await at.ask('pin-anchor')]
    await at.withoutMining(async () => {
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key, { replaceAfterMs: 1 }) }, async () => {
        const all = async () => await Promise.all(ids.map((id) => at.sentOf(id)))
        const sent = await until('three, and the first replaced', async () => {
          const now = await all()
          return now.every(({ length }) => length > 0) && now.some(({ length }) => length > 3) && now
        })
        const others = sent.filter((one) => one[0]?.nonce !== 0)
        assert.deepEqual(
          others.map(({ length }) => length),
          [1, 1],
        )
      })
    })
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
      for (const id of ids) await at.final(id)
    })
    assert.equal(await countOf(key), 3)
  })

  test('comes in though the transaction before it was forgotten together with its account', async () => {
    const key = await newKey()
    const [lost, behind] = [await at.ask('event'), await at.ask('event')]
    await at.withoutMining(async () => {
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
        await at.sends(lost)
        await at.sends(behind)
      })
      const [[first], [second]] = [await at.sentOf(lost), await at.sentOf(behind)]
      const [gone, kept] = (first?.nonce ?? 0) < (second?.nonce ?? 0) ? [lost, behind] : [behind, lost]
      await at.rpc('anvil_dropAllTransactions')
      await at.api.db.run('delete from proof where id = $1', [gone])
      await makeDue(kept)
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
        await until('both nonces used', async () => (await countOf(key, 'pending')) === 2)
        await at.final(kept)
      })
      assert.equal((await at.sentOf(kept)).length, 1)
    })
  })

  test('whose nonce somebody else has used gets another, once that is final', async () => {
    const key = await newKey()
    const id = await at.ask('event')
    const asked: unknown[] = []
    const counting = at.poolBy(({ method, params }, pass) => {
      if (method === 'eth_getTransactionCount' && params[1] === 'finalized') asked.push(params)
      return pass()
    })
    await at.withoutMining(async () => {
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, () => at.sends(id))
      await at.rpc('anvil_dropAllTransactions')
      const call = { to: key.address, data: '0x' as const }
      const quote = await quoteCall({ pool: at.pool, from: key.address, ...call })
      const { raw } = signCall(key, { ...call, chainId: 31_337, nonce: 0, quote })
      await sendTransaction(at.pool, raw)
      await at.mine(1)
      await makeDue(id)
      await withProver(at.api, { pool: counting, anchors: at.anchors(key) }, async () => {
        await until('a few looks', () => asked.length > 2)
        assert.equal((await at.sentOf(id)).length, 1)
        await at.final(id)
      })
    })
    assert.deepEqual(
      (await at.sentOf(id)).map(({ nonce }) => nonce),
      [0, 1],
    )
  })

  test('that no block takes for any fee says so, and comes in when one does', async () => {
    const key = await newKey()
    const id = await at.ask('pin-anchor')
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key, { replaceAfterMs: 1 }) }, async () => {
      await at.withoutMining(async () => {
        const { hindrance } = await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
        assert.match(hindrance?.message ?? '', /in no block, though its fee was raised 10 times/)
        assert.equal((await at.sentOf(id)).length, 11)
      })
      assert.equal((await at.final(id)).hindrance, null)
    })
    assert.equal(await countOf(key), 1)
  })

  test('fills no gap that is wider than can be: a provider that is wrong about a nonce does not spend the money', async () => {
    const key = await newKey()
    const id = await at.ask('event')
    await at.withoutMining(async () => {
      const wrong = at.poolBy(async ({ method, params }, pass) => {
        const answer = await pass()
        return method === 'eth_getTransactionCount' && params[1] === 'latest' ? '0x28' : answer
      })
      await withProver(at.api, { pool: wrong, anchors: at.anchors(key) }, () => at.sends(id))
      await makeDue(id)
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
        const { hindrance } = await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
        assert.match(hindrance?.message ?? '', /number 40, and the chain waits for number 0/)
      })
      assert.equal(await countOf(key, 'pending'), 0)
    })
  })

  test('is not final, nor sent again, because one of several providers lies about its receipt', async () => {
    const key = await newKey()
    const id = await at.ask('event')
    const lying = at.poolBy(async ({ method }, pass) => {
      const answer = await pass()
      if (method !== 'eth_getTransactionReceipt' || answer === null) return answer
      return { ...(answer as object), status: '0x0', logs: [] }
    })
    const pool = new ProviderPool(
      [1, 2, 3].map((name) => ({ name: String(name), url: at.chain.url })),
      { quorum: 2 },
    )
    const [liar] = pool.providers
    const [of] = lying.providers
    assert.ok(liar && of)
    liar.call = (call, signal) => of.call(call, signal)
    await withProver(at.api, { pool, anchors: at.anchors(key) }, async () => {
      const { anchor } = await at.final(id)
      assert.notEqual(anchor?.transaction, null)
    })
    assert.equal((await at.sentOf(id)).length, 1)
  })

  test('that one key has sent is not sent by its successor too', async () => {
    const [key, successor] = [await newKey(), await newKey()]
    const id = await at.ask('event')
    await at.withoutMining(async () => {
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, () => at.sends(id))
      await at.rpc('anvil_dropAllTransactions')
      await makeDue(id)
      const anchors = at.anchors(successor, { replaceAfterMs: 1 })
      await withProver(at.api, { pool: at.pool, anchors }, async () => {
        await until('the same one sent again', async () => (await countOf(key, 'pending')) === 1)
        await at.final(id)
      })
    })
    assert.equal((await at.sentOf(id)).length, 1)
    assert.equal(await countOf(successor), 0)
  })
})
