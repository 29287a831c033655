import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { anchorCall, isAnchorCode } from '../../services/chain/anchor/anchor-call.ts'
import { codeAt } from '../../services/chain/anchor/transaction.ts'
import { readChainKey, signerOf } from '../../services/chain/chain-key.ts'
import type { Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { hasKind } from '../../services/chain/rpc-failure.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { selectorOf } from '../support/contracts-abi.ts'

/** Of the test chain. */
const SENDER = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266'
const OTHER = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8'
const ROOT = `0x${'ab'.repeat(32)}` as const
const anchored = { root: ROOT, leaves: 3, takenAt: 1_800_000_000, manifest: Buffer.from('01551220', 'hex') }

let chain: TestChain
let contract: Hex
before(async () => {
  chain = await startChain()
  contract = await chain.deployOwn('PinAnchor')
})
after(() => chain[Symbol.asyncDispose]())

function call(from: string, data: Hex): Promise<unknown> {
  return chain.rpc.call({ method: 'eth_call', params: [{ from, to: contract, data }, 'latest'] })
}

test('a publisher anchors a root once, and spoils it for nobody else', async () => {
  const data = anchorCall('pin-anchor', anchored)
  await chain.send(contract, data)
  await assert.rejects(
    call(SENDER, data),
    (error) => hasKind(error, 'reverted') && error.data === selectorOf('AlreadyAnchored()'),
  )
  assert.equal(await call(OTHER, data), '0x')
})

test('an announcement may be repeated, and the contract takes no funds', async () => {
  const data = anchorCall('event', anchored)
  await chain.send(contract, data)
  await chain.send(contract, data)
  const payment = { method: 'eth_call', params: [{ from: OTHER, to: contract, data, value: '0x1' }, 'latest'] }
  await assert.rejects(chain.rpc.call(payment), (error) => hasKind(error, 'reverted'))
})

test('what lies at an address is told from the contract', async () => {
  const pool = new ProviderPool([{ name: 'one', url: chain.url }])
  assert.equal(isAnchorCode('pin-anchor', await codeAt(pool, contract)), true)
  const nothing = await codeAt(pool, OTHER)
  assert.equal(isAnchorCode('event', nothing), false)
  assert.equal(isAnchorCode('eas-timestamp', nothing), false)
})

test('a key signs the same for the same, and a text that is none is refused without being told', () => {
  const text = '59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d'
  const key = readChainKey(` 0x${text}\n`, 'HOLDFAST_PROOF_KEY')
  assert.equal(key.address, OTHER)
  const digest = Buffer.alloc(32, 7)
  assert.equal(key.sign(digest), key.sign(digest))
  assert.equal(signerOf(digest, key.sign(digest)), OTHER)
  assert.equal(signerOf(digest, '0x1234'), undefined)
  for (const wrong of ['', 'secret words', text.slice(1), '0'.repeat(64), 'f'.repeat(64)]) {
    assert.throws(
      () => readChainKey(wrong, 'HOLDFAST_PROOF_KEY'),
      (error) =>
        error instanceof HoldfastError &&
        error.code === 'CONFIG' &&
        error.cause === undefined &&
        (wrong === '' || !error.message.includes(wrong)),
    )
  }
})
