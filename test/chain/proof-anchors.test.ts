import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { AnchorKind } from '../../services/core/proof/proof-file.ts'
import type { Anchors } from '../../services/prover/perform.ts'
import { Anchoring } from '../support/anchoring.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import { fileOf, proofIn, TEST_KEY, withProver, type ProofView } from '../support/proofs.ts'
import { until } from '../support/until.ts'

let at: Anchoring
let anchors: Anchors
const stack = new AsyncDisposableStack()
const KINDS: readonly Exclude<AnchorKind, 'none'>[] = ['eas-timestamp', 'pin-anchor', 'event']

before(async () => {
  at = stack.use(await Anchoring.open())
  anchors = at.anchors(TEST_KEY)
})
after(() => stack.disposeAsync())

/** Of the transaction that is in a block. */
async function gasOf(hash: string): Promise<number> {
  const receipt = await at.rpc('eth_getTransactionReceipt', hash)
  return Number((receipt as { gasUsed: Hex }).gasUsed)
}

function anchored(id: string, ...states: string[]): Promise<ProofView & { anchor: NonNullable<ProofView['anchor']> }> {
  return until(`the anchor ${states.join(' or ')}`, async () => {
    const view = await at.view(id)
    if (view.state === 'failed') throw new Error(JSON.stringify(view.error))
    return view.anchor !== null && states.includes(view.anchor.state) ? { ...view, anchor: view.anchor } : undefined
  })
}

suite('an anchor', { timeout: 180_000 }, () => {
  for (const kind of KINDS) {
    test(`of the kind ${kind} is final when its block is, and costs at most 50,000 gas`, async () => {
      const id = await at.ask(kind)
      await withProver(at.api, { pool: at.pool, anchors }, async () => {
        const included = await anchored(id, 'included')
        assert.equal(included.state, 'anchoring')
        assert.ok((await gasOf(included.anchor.transaction ?? '')) <= 50_000)
        await at.mine(12)
        const done = await proofIn(at.api, id, 'done')
        assert.equal(done.anchor?.state, 'final')
        const { anchor, domain } = await fileOf(at.api, id)
        assert.equal(domain.verifyingContract, anchors.contracts[kind])
        assert.equal(domain.chainId, 31_337)
        assert.equal(anchor?.transaction, included.anchor.transaction)
      })
    })
  }

  test('is sent once, though the service is restarted after it was sent and before it is in a block', async () => {
    await at.rpc('evm_setAutomine', false)
    try {
      const id = await at.ask('pin-anchor')
      const before = await nonceOf('latest')
      const sent = await withProver(at.api, { pool: at.pool, anchors }, () =>
        until('a transaction that waits', async () =>
          (await nonceOf('pending')) > before ? at.sentOf(id) : undefined,
        ),
      )
      assert.equal(sent.length, 1)
      await withProver(at.api, { pool: at.pool, anchors }, async () => {
        await at.mine(1)
        const { anchor } = await anchored(id, 'included')
        assert.equal(anchor.transaction, sent[0]?.hash)
        await at.mine(12)
        assert.equal((await proofIn(at.api, id, 'done')).anchor?.state, 'final')
      })
      assert.equal((await at.sentOf(id)).length, 1)
      assert.equal(await nonceOf('latest'), before + 1)
    } finally {
      await at.rpc('evm_setAutomine', true)
    }
  })

  test('is one of many that several processes send at once, each under a nonce of its own', async () => {
    const ids = await Promise.all(Array.from({ length: 6 }, (_, place) => at.ask(KINDS[place % 3] as AnchorKind)))
    await withProver(at.api, { pool: at.pool, anchors }, () =>
      withProver(at.api, { pool: at.pool, anchors }, async () => {
        for (const id of ids) await anchored(id, 'included', 'final')
        await at.mine(12)
        for (const id of ids) assert.equal((await proofIn(at.api, id, 'done')).anchor?.state, 'final')
      }),
    )
    const sent = (await Promise.all(ids.map((id) => at.sentOf(id)))).flat()
    assert.equal(new Set(sent.map(({ nonce }) => nonce)).size, ids.length)
    assert.equal(sent.length, ids.length)
  })

  test('that was written down and never sent is sent after a restart', async () => {
    const id = await at.ask('pin-anchor')
    const stopped = new AbortController()
    const deaf = new ProviderPool([{ name: 'one', url: at.chain.url }])
    const [provider] = deaf.providers
    assert.ok(provider)
    const call = provider.call.bind(provider)
    // The process dies at the very moment of sending.
    provider.call = (request, signal) => {
      if (request.method === 'eth_sendRawTransaction') stopped.abort()
      return stopped.signal.aborted ? Promise.reject(new Error('gone')) : call(request, signal)
    }
    await withProver(at.api, { pool: deaf, anchors }, () => until('the end', () => stopped.signal.aborted))
    const [written] = await at.sentOf(id)
    assert.ok(written)
    await at.api.db.run('update proof set lease = null, lease_until = null, due_at = now()')
    await withProver(at.api, { pool: at.pool, anchors }, async () => {
      assert.equal((await anchored(id, 'included')).anchor.transaction, written.hash)
      await at.mine(12)
      await proofIn(at.api, id, 'done')
    })
  })

  test('that a reorganisation has taken out of the chain is not final, and is sent again', async () => {
    const id = await at.ask('eas-timestamp')
    await withProver(at.api, { pool: at.pool, anchors }, async () => {
      const { anchor: first } = await anchored(id, 'included')
      const head = await at.chain.head()
      const depth = Number(head.number) - (first.block?.number ?? 0) + 1
      await at.rpc('evm_setAutomine', false)
      await at.rpc('anvil_rollback', depth)
      await at.rpc('anvil_dropAllTransactions')
      await anchored(id, 'pending')
      await at.rpc('evm_setAutomine', true)
      await at.mine(1)
      const { anchor: second } = await until('the anchor in another block', async () => {
        const view = await anchored(id, 'included')
        return view.anchor.block?.hash === first.block?.hash ? undefined : view
      })
      assert.equal(second.transaction, first.transaction)
      await at.mine(12)
      assert.equal((await proofIn(at.api, id, 'done')).anchor?.state, 'final')
    })
  })

  test('that lies too long is replaced under the same nonce with a higher fee', async () => {
    await at.rpc('evm_setAutomine', false)
    try {
      const id = await at.ask('event')
      await withProver(at.api, { pool: at.pool, anchors: { ...anchors, replaceAfterMs: 1 } }, async () => {
        const sent = await until('a second transaction', async () => {
          const all = await at.sentOf(id)
          return all.length > 1 ? all : undefined
        })
        const [first, second] = sent
        assert.equal(first?.nonce, second?.nonce)
        assert.ok(BigInt(second?.maxFee ?? 0) > BigInt(first?.maxFee ?? 0))
        await at.mine(1)
        await anchored(id, 'included')
        await at.mine(12)
        await proofIn(at.api, id, 'done')
      })
    } finally {
      await at.rpc('evm_setAutomine', true)
    }
  })

  test('whose root somebody else has given a time is final without a transaction of its own', async () => {
    const id = await at.ask('eas-timestamp')
    const elsewhere = { contracts: { 'eas-timestamp': TEST_KEY.address }, giveUpAfterMs: 1 }
    await withProver(at.api, { pool: at.pool, anchors: { ...anchors, ...elsewhere } }, async () => {
      const { error, anchor } = await proofIn(at.api, id, 'done')
      assert.deepEqual([error?.code, anchor?.state], ['UNPROCESSABLE', 'failed'], 'there is no contract')
    })
    const eas = anchors.contracts['eas-timestamp'] as Hex
    const { root } = await fileOf(at.api, id)
    await at.chain.send(eas, selectorOf('timestamp(bytes32)') + root.slice(2))
    await at.api.db.run('update proof set contract = $2 where id = $1', [id, eas])
    await at.api.json('POST', `/v1/proofs/${id}/anchor`)
    await withProver(at.api, { pool: at.pool, anchors }, async () => {
      await at.mine(12)
      const done = await proofIn(at.api, id, 'done')
      assert.deepEqual([done.anchor?.state, done.anchor?.transaction], ['final', null])
    })
  })
})

async function nonceOf(block: 'latest' | 'pending'): Promise<number> {
  return Number(await at.rpc('eth_getTransactionCount', TEST_KEY.address, block))
}
