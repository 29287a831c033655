import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { quantityOf, type Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { AnchorKind } from '../../services/core/proof/proof-file.ts'
import type { Anchors } from '../../services/prover/perform.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import {
  askForProof,
  fileOf,
  proofIn,
  startHolders,
  TEST_KEY,
  withProver,
  type Holders,
  type ProofView,
} from '../support/proofs.ts'
import { until } from '../support/until.ts'

let chain: TestChain
let api: TestApi
let holders: Holders
let pool: ProviderPool
let anchors: Anchors
const stack = new AsyncDisposableStack()
const KINDS: readonly Exclude<AnchorKind, 'none'>[] = ['eas-timestamp', 'pin-anchor', 'event']

before(async () => {
  chain = stack.use(await startChain())
  api = stack.use(await openTestApi({ signer: TEST_KEY, anchorKinds: ['none', ...KINDS] }))
  holders = stack.use(await startHolders(api, 2))
  pool = new ProviderPool([{ name: 'one', url: chain.url }])
  const pinAnchor = await chain.deployOwn('PinAnchor')
  const eas = await chain.deploy('FixtureEas')
  anchors = {
    key: TEST_KEY,
    lookMs: 30,
    contracts: { 'eas-timestamp': eas, 'pin-anchor': pinAnchor, event: pinAnchor },
  }
})
after(() => stack.disposeAsync())

async function ask(anchor: AnchorKind): Promise<string> {
  const root = await holders.pin(`content ${Math.random()}`)
  return (await askForProof(api, { pins: [String(root)], anchor })).id
}

async function mine(blocks: number): Promise<void> {
  await chain.rpc.call({ method: 'anvil_mine', params: [quantityOf(blocks)] })
}

/** Of the transaction that is in a block. */
async function gasOf(hash: string): Promise<number> {
  const receipt = await chain.rpc.call({ method: 'eth_getTransactionReceipt', params: [hash] })
  return Number((receipt as { gasUsed: Hex }).gasUsed)
}

function anchored(id: string, ...states: string[]): Promise<ProofView & { anchor: NonNullable<ProofView['anchor']> }> {
  return until(`the anchor ${states.join(' or ')}`, async () => {
    const view = await api.json<ProofView>('GET', `/v1/proofs/${id}`)
    if (view.state === 'failed') throw new Error(JSON.stringify(view.error))
    return view.anchor !== null && states.includes(view.anchor.state) ? { ...view, anchor: view.anchor } : undefined
  })
}

suite('an anchor', { timeout: 180_000 }, () => {
  for (const kind of KINDS) {
    test(`of the kind ${kind} is final when its block is, and costs at most 50,000 gas`, async () => {
      const id = await ask(kind)
      await withProver(api, { pool, anchors }, async () => {
        const included = await anchored(id, 'included')
        assert.equal(included.state, 'anchoring')
        assert.ok((await gasOf(included.anchor.transaction ?? '')) <= 50_000)
        await mine(12)
        const done = await proofIn(api, id, 'done')
        assert.equal(done.anchor?.state, 'final')
        const { anchor, domain } = await fileOf(api, id)
        assert.equal(domain.verifyingContract, anchors.contracts[kind])
        assert.equal(domain.chainId, 31_337)
        assert.equal(anchor?.transaction, included.anchor.transaction)
      })
    })
  }

  test('is sent once, though the service is restarted after it was sent and before it is in a block', async () => {
    await chain.rpc.call({ method: 'evm_setAutomine', params: [false] })
    try {
      const id = await ask('pin-anchor')
      const before = await nonceOf('latest')
      const sent = await withProver(api, { pool, anchors }, () =>
        until('a transaction that waits', async () =>
          (await nonceOf('pending')) > before ? transactionsOf(id) : undefined,
        ),
      )
      assert.equal(sent.length, 1)
      await withProver(api, { pool, anchors }, async () => {
        await mine(1)
        const { anchor } = await anchored(id, 'included')
        assert.equal(anchor.transaction, sent[0]?.hash)
        await mine(12)
        assert.equal((await proofIn(api, id, 'done')).anchor?.state, 'final')
      })
      assert.equal((await transactionsOf(id)).length, 1)
      assert.equal(await nonceOf('latest'), before + 1)
    } finally {
      await chain.rpc.call({ method: 'evm_setAutomine', params: [true] })
    }
  })

  test('is one of many that several processes send at once, each under a nonce of its own', async () => {
    const ids = await Promise.all(Array.from({ length: 6 }, (_, place) => ask(KINDS[place % 3] as AnchorKind)))
    await withProver(api, { pool, anchors }, () =>
      withProver(api, { pool, anchors }, async () => {
        for (const id of ids) await anchored(id, 'included', 'final')
        await mine(12)
        for (const id of ids) assert.equal((await proofIn(api, id, 'done')).anchor?.state, 'final')
      }),
    )
    const sent = (await Promise.all(ids.map(transactionsOf))).flat()
    assert.equal(new Set(sent.map(({ nonce }) => nonce)).size, ids.length)
    assert.equal(sent.length, ids.length)
  })

  test('that was written down and never sent is sent after a restart', async () => {
    const id = await ask('pin-anchor')
    const stopped = new AbortController()
    const deaf = new ProviderPool([{ name: 'one', url: chain.url }])
    const [provider] = deaf.providers
    assert.ok(provider)
    const call = provider.call.bind(provider)
    // The process dies at the very moment of sending.
    provider.call = (request, signal) => {
      if (request.method === 'eth_sendRawTransaction') stopped.abort()
      return stopped.signal.aborted ? Promise.reject(new Error('gone')) : call(request, signal)
    }
    await withProver(api, { pool: deaf, anchors }, () => until('the end', () => stopped.signal.aborted))
    const [written] = await transactionsOf(id)
    assert.ok(written)
    await api.db.run('update proof set lease = null, lease_until = null, due_at = now()')
    await withProver(api, { pool, anchors }, async () => {
      assert.equal((await anchored(id, 'included')).anchor.transaction, written.hash)
      await mine(12)
      await proofIn(api, id, 'done')
    })
  })

  test('that a reorganisation has taken out of the chain is not final, and is sent again', async () => {
    const id = await ask('eas-timestamp')
    await withProver(api, { pool, anchors }, async () => {
      const { anchor: first } = await anchored(id, 'included')
      const head = await chain.head()
      const depth = Number(head.number) - (first.block?.number ?? 0) + 1
      await chain.rpc.call({ method: 'evm_setAutomine', params: [false] })
      await chain.rpc.call({ method: 'anvil_rollback', params: [depth] })
      await chain.rpc.call({ method: 'anvil_dropAllTransactions', params: [] })
      await anchored(id, 'pending')
      await chain.rpc.call({ method: 'evm_setAutomine', params: [true] })
      await mine(1)
      const { anchor: second } = await until('the anchor in another block', async () => {
        const view = await anchored(id, 'included')
        return view.anchor.block?.hash === first.block?.hash ? undefined : view
      })
      assert.equal(second.transaction, first.transaction)
      await mine(12)
      assert.equal((await proofIn(api, id, 'done')).anchor?.state, 'final')
    })
  })

  test('that lies too long is replaced under the same nonce with a higher fee', async () => {
    await chain.rpc.call({ method: 'evm_setAutomine', params: [false] })
    try {
      const id = await ask('event')
      await withProver(api, { pool, anchors: { ...anchors, replaceAfterMs: 1 } }, async () => {
        const sent = await until('a second transaction', async () => {
          const all = await transactionsOf(id)
          return all.length > 1 ? all : undefined
        })
        const [first, second] = sent
        assert.equal(first?.nonce, second?.nonce)
        assert.ok(BigInt(second?.maxFee ?? 0) > BigInt(first?.maxFee ?? 0))
        await mine(1)
        await anchored(id, 'included')
        await mine(12)
        await proofIn(api, id, 'done')
      })
    } finally {
      await chain.rpc.call({ method: 'evm_setAutomine', params: [true] })
    }
  })

  test('whose root somebody else has given a time is final without a transaction of its own', async () => {
    const id = await ask('eas-timestamp')
    await withProver(
      api,
      { pool, anchors: { ...anchors, contracts: { 'eas-timestamp': TEST_KEY.address } } },
      async () => {
        const failed = await proofIn(api, id, 'done')
        assert.equal(failed.error?.code, 'UNPROCESSABLE', 'there is no contract')
      },
    )
    const eas = anchors.contracts['eas-timestamp'] as Hex
    const { root } = await fileOf(api, id)
    await chain.send(eas, selectorOf('timestamp(bytes32)') + root.slice(2))
    await api.db.run(`update proof set state = 'anchoring', contract = $2, due_at = now() where id = $1`, [id, eas])
    await api.db.run('update proof_anchor set nonce = 1000000 where proof_id = $1', [id])
    await withProver(api, { pool, anchors }, async () => {
      await until('a try that the contract refuses', async () => {
        const [row] = await api.db.query<{ nonce: string | null }>(
          'select nonce from proof_anchor where proof_id = $1',
          [id],
        )
        return row?.nonce === null
      })
      await mine(12)
      const done = await proofIn(api, id, 'done')
      assert.deepEqual([done.anchor?.state, done.anchor?.transaction], ['final', null])
    })
  })
})

async function nonceOf(block: 'latest' | 'pending'): Promise<number> {
  return Number(await chain.rpc.call({ method: 'eth_getTransactionCount', params: [TEST_KEY.address, block] }))
}

async function transactionsOf(id: string): Promise<{ hash: string; nonce: number; maxFee: string }[]> {
  const [row] = await api.db.query<{ transactions: { hash: string; nonce: number; maxFee: string }[] }>(
    'select transactions from proof_anchor where proof_id = $1',
    [id],
  )
  return row?.transactions ?? []
}
