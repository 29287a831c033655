import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { readChainKey, type ChainKey } from '../../services/chain/chain-key.ts'
import { RpcFailure } from '../../services/chain/rpc-failure.ts'
import { Anchoring } from '../support/anchoring.ts'
import { proofIn, withProver } from '../support/proofs.ts'
import { runCli } from '../support/run-cli.ts'
import { until } from '../support/until.ts'

let at: Anchoring
let folder: string
const stack = new AsyncDisposableStack()
const COIN = '0xde0b6b3a7640000'

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-hindrances-'))
  stack.defer(() => rm(folder, { recursive: true }))
  at = stack.use(await Anchoring.open())
})
after(() => stack.disposeAsync())

function newKey(): ChainKey {
  return readChainKey(randomBytes(32).toString('hex'), 'the key of a test')
}

function cli(...words: string[]) {
  return runCli(words, { environment: { HOLDFAST_URL: at.api.url, HOLDFAST_TOKEN: at.api.token } })
}

suite('what hinders an anchor', { timeout: 180_000 }, () => {
  test('is told to whom it belongs, and it goes on by itself when the account has money', async () => {
    const key = newKey()
    const file = join(folder, 'proof.json')
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
      const id = await at.ask('pin-anchor')
      const told = Promise.withResolvers<string>()
      const waiting = runCli(['proof', 'create', '--anchor', 'event', '--out', file], {
        environment: { HOLDFAST_URL: at.api.url, HOLDFAST_TOKEN: at.api.token },
        heard: (text) => void (text.includes('comes no further') && told.resolve(text)),
      })
      const { hindrance, state, anchor, error } = await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
      assert.deepEqual([state, anchor?.state, error], ['anchoring', 'pending', null])
      assert.equal(hindrance?.code, 'INSUFFICIENT_FUNDS')
      assert.match(
        hindrance.message,
        new RegExp(`has nothing: send gas money to ${key.address} on chain 31337\\.|may cost`),
      )
      assert.ok(Date.parse(hindrance.triedAgainAt) > Date.parse(hindrance.since))
      await at.seen(id, 'a second try', (view) => (view.hindrance?.triedAgainAt ?? '') > hindrance.triedAgainAt)
      assert.equal((await at.view(id)).hindrance?.since, hindrance.since)
      const said = await cli('proof', 'get', id)
      assert.equal(said.exitCode, 0)
      assert.match(said.stderr, new RegExp(`no further since .*${key.address}.*Tried again at 20`))
      assert.deepEqual(await at.sentOf(id), [])
      assert.match(await told.promise, new RegExp(key.address))
      await at.rpc('anvil_setBalance', key.address, COIN)
      const final = await at.final(id)
      assert.deepEqual([final.hindrance, final.error], [null, null])
      const mined = setInterval(() => void at.mine(1), 100)
      const { exitCode, stderr } = await waiting.finally(() => clearInterval(mined))
      assert.equal(exitCode, 0, stderr)
      assert.equal(stderr.match(/comes no further/g)?.length, 1, stderr)
    })
  })

  test('for long makes the anchor fail and leaves the proof; it can be tried again, and is anchored once', async () => {
    const key = newKey()
    const id = await at.ask('event')
    const file = join(folder, 'unanchored.json')
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key, { giveUpAfterMs: 200 }) }, async () => {
      const done = await proofIn(at.api, id, 'done')
      assert.deepEqual([done.state, done.anchor?.state, done.hindrance], ['done', 'failed', null])
      assert.equal(done.error?.code, 'INSUFFICIENT_FUNDS')
    })
    assert.match((await cli('proof', 'get', id, '--out', file)).stderr, new RegExp(key.address))
    for (const words of [[], ['--rpc', at.chain.url]]) {
      const { exitCode, stderr } = await cli('proof', 'verify', file, ...words)
      assert.equal(exitCode, 0, stderr)
      assert.match(stderr, /signed, and anchored nowhere/)
    }
    await at.rpc('anvil_setBalance', key.address, COIN)
    const again = () => at.api.send('POST', `/v1/proofs/${id}/anchor`)
    const answers = await Promise.all([again(), again(), again()])
    assert.deepEqual(
      answers.map(({ status }) => status),
      [202, 202, 202],
    )
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
      const mined = setInterval(() => void at.mine(1), 100)
      const { exitCode, stderr } = await cli('proof', 'anchor', id).finally(() => clearInterval(mined))
      assert.equal(exitCode, 0, stderr)
    })
    assert.equal((await again()).status, 202)
    assert.deepEqual([(await at.view(id)).state, (await at.sentOf(id)).length], ['done', 1])
    assert.equal(Number(await at.rpc('eth_getTransactionCount', key.address, 'latest')), 1)
  })

  test('cannot be tried again for a proof that was to have no anchor, or is of another account', async () => {
    const id = await at.ask('none')
    await withProver(at.api, { pool: at.pool }, () => proofIn(at.api, id, 'done'))
    assert.equal((await at.api.send('POST', `/v1/proofs/${id}/anchor`)).status, 409)
    const { otherToken: token } = at.api
    assert.equal((await at.api.send('POST', `/v1/proofs/${id}/anchor`, { token })).status, 404)
    const reader = await at.api.tokenWith('pins:read')
    assert.equal((await at.api.send('POST', `/v1/proofs/${id}/anchor`, { token: reader })).status, 403)
  })

  test('is a provider that takes no transactions: its words are shown without keys, and nothing keeps a nonce', async () => {
    const key = newKey()
    await at.rpc('anvil_setBalance', key.address, COIN)
    const id = await at.ask('pin-anchor')
    const refusing = at.poolBy(({ method }, pass) => {
      if (method !== 'eth_sendRawTransaction') return pass()
      const words = `Not on your plan: see https://rpc.example/v2/0123secret?apikey=12345 ${'x'.repeat(600)}`
      return Promise.reject(new RpcFailure('refused', words))
    })
    await withProver(at.api, { pool: refusing, anchors: at.anchors(key) }, async () => {
      const { hindrance } = await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
      assert.match(hindrance?.message ?? '', /^Not on your plan: see \[url\] .*HOLDFAST_CHAIN_RPC/)
      assert.ok((hindrance?.message.length ?? 0) < 350)
    })
    assert.deepEqual(await at.sentOf(id), [])
    await at.api.db.run('update proof set due_at = now() where id = $1', [id])
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, () => at.final(id))
    assert.deepEqual(
      (await at.sentOf(id)).map(({ nonce }) => nonce),
      [0],
    )
  })

  test('is that the service is on another chain: nothing is sent there', async () => {
    const id = await at.ask('event')
    const key = newKey()
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
      await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
    })
    await at.rpc('anvil_setBalance', key.address, COIN)
    const move = (chainId: number) =>
      at.api.db.run(
        `with p as (update proof set chain_id = $2, due_at = now(), hindered_since = null where id = $1)
         update proof_anchor set chain_id = $2 where proof_id = $1`,
        [id, chainId],
      )
    await move(5)
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
      const { hindrance } = await at.seen(id, 'the reason', (view) => view.hindrance?.code === 'CONFIG')
      assert.match(hindrance?.message ?? '', /signed for chain 5, and the service is on chain 31337/)
    })
    assert.deepEqual(await at.sentOf(id), [])
    await move(31_337)
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, () => at.final(id))
  })

  test('is looked at once for a thousand proofs of one account without money', async () => {
    const key = newKey()
    const id = await at.ask('event')
    await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
      await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
    })
    await at.api.db.run(
      `insert into proof (id, tenant_id, wanted, anchor_kind, state, seed, contents, statements, root, taken_at, manifest,
                          chain_id, contract, signer, signature)
       select gen_random_uuid(), tenant_id, wanted, anchor_kind, 'anchoring', seed, contents, statements,
              '0x' || lpad(to_hex(n), 64, '0'), taken_at, manifest, chain_id, contract, signer, signature
         from proof, generate_series(1, 999) n where id = $1`,
      [id],
    )
    const calls = new Map<string, number>()
    const counting = at.poolBy(({ method }, pass) => {
      calls.set(method, (calls.get(method) ?? 0) + 1)
      return pass()
    })
    const tries = async (): Promise<boolean> => {
      const [row] = await at.api.db.query<{ least: number }>(
        `select min(attempts)::int as least from proof where state = 'anchoring'`,
      )
      return (row?.least ?? 0) >= 2
    }
    await withProver(at.api, { pool: counting, anchors: at.anchors(key, { lookMs: 500 }) }, async () => {
      await until('two tries of each', tries, 60_000)
    })
    const total = [...calls.values()].reduce((sum, count) => sum + count, 0)
    assert.ok(total < 100, JSON.stringify([...calls]))
    await at.rpc('anvil_setBalance', key.address, COIN)
    await at.api.db.run('update proof set due_at = now() where id = $1', [id])
    // Of those that can pay now no more are out than a node keeps of one account.
    await at.withoutMining(async () => {
      const out = (): Promise<number> =>
        at.rpc('eth_getTransactionCount', key.address, 'pending').then((count) => Number(count))
      await at.api.db.run(`update proof set due_at = now() where state = 'anchoring'`)
      await withProver(at.api, { pool: at.pool, anchors: at.anchors(key) }, async () => {
        await until('sixteen that are out', async () => (await out()) === 16)
        await at.api.db.run(`update proof set due_at = now() where state = 'anchoring'`)
        await until('all looked at', async () => {
          const due = await at.api.db.query(
            `select from proof where state = 'anchoring' and hindered_since is not null limit 1`,
          )
          return due.length === 0
        })
        assert.equal(await out(), 16)
      })
    })
    await at.api.db.run(`delete from proof where state = 'anchoring'`)
  })
})
