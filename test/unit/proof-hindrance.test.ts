import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RpcFailure } from '../../services/chain/rpc-failure.ts'
import { Gate } from '../../services/prover/gate.ts'
import { AnchorHindrance, hindranceOf, poverty, shownWords } from '../../services/prover/hindrance.ts'

const ADDRESS = `0x${'ab'.repeat(20)}`
const HASH = `0x${'cd'.repeat(32)}`
const account = { address: ADDRESS, chainId: 10 }

test('words of providers are shown in one line, cut, without URLs and keys, and with addresses and hashes', () => {
  const cases: readonly [said: string, shown: string][] = [
    ['Insufficient funds for gas', 'Insufficient funds for gas.'],
    ['see https://user:pw@rpc.example/v3/0123456789abcdef0123456789abcdef now', 'see [url] now.'],
    ['wss://rpc.example/?apikey=abc\nover', '[url] over.'],
    ['your key 0123456789abcdef0123456789abcdef is spent', 'your key *** is spent.'],
    ['apiKey=short is spent', 'apiKey=*** is spent.'],
    ['Authorization: Bearer ab.cd is bad', 'Authorization: Bearer *** is bad.'],
    [`${ADDRESS} of ${HASH}`, `${ADDRESS} of ${HASH}.`],
    ['maxPriorityFeePerGas is below the least', 'maxPriorityFeePerGas is below the least.'],
    ['a\u0000b\u001b[31m', 'a b [31m.'],
  ]
  for (const [said, shown] of cases) assert.equal(shownWords(said), shown)
  assert.ok(shownWords('no '.repeat(100_000)).length <= 201)
})

test('of an account without enough money it is said which one it is, where, and what it needs', () => {
  const nothing = poverty(account, { balance: 0n })
  assert.match(nothing.message, new RegExp(`has nothing: send gas money to ${ADDRESS} on chain 10\\.`))
  const little = poverty(account, { balance: 1_234_567_890_123n, cost: 10n ** 18n + 5n * 10n ** 17n })
  assert.match(little.message, /has 0\.00000123, and the next transaction may cost 1\.5:/)
  const said = hindranceOf(new RpcFailure('refused', 'The provider said: insufficient funds for gas'), account)
  assert.equal(said.code, 'INSUFFICIENT_FUNDS')
  assert.match(said.message, /insufficient funds for gas\. Send gas money to 0xab/)
})

test('a closed gate lets nobody through with another word than the first, and one after its pause', (context) => {
  context.mock.method(performance, 'now', () => now)
  let now = 1_000
  const gate = new Gate({ firstMs: 100, longestMs: 300 })
  assert.equal(gate.enter(), false)
  assert.equal(gate.close(poverty(account, { balance: 0n })).retryMs, 100)
  assert.throws(
    () => gate.enter(),
    (error) => error instanceof AnchorHindrance && error.code === 'INSUFFICIENT_FUNDS' && error.retryMs === 100,
  )
  now += 100
  assert.equal(gate.enter(), true)
  assert.throws(() => gate.enter(), AnchorHindrance)
  const pauses = [1, 2, 3].map(() => gate.close(poverty(account, { balance: 0n })).retryMs)
  assert.deepEqual(pauses, [200, 300, 300])
  gate.open()
  assert.equal(gate.enter(), false)
})
