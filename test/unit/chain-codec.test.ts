import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AbiCoder } from 'ethers'
import * as fc from 'fast-check'
import { decodeBytes, decodeString } from '../../services/chain/abi-bytes.ts'
import { failureOfAnswer, type RpcFailureKind } from '../../services/chain/rpc-failure.ts'
import { decodeProbe } from '../../services/chain/token-probe.ts'

const coder = AbiCoder.defaultAbiCoder()
const bytesOf = (hex: string): Buffer => Buffer.from(hex.slice(2), 'hex')

test('strings and bytes are read as ethers reads them', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      assert.equal(decodeString(bytesOf(coder.encode(['string'], [text]))), text)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const decoded = decodeBytes(bytesOf(coder.encode(['bytes'], [bytes])))
      assert.deepEqual(Buffer.from(decoded ?? []), Buffer.from(bytes))
    }),
  )
})

test('whatever a contract returns, reading it throws nothing and stays within it', () => {
  const word = fc.oneof(fc.bigInt({ min: 0n, max: 200n }), fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }))
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), fc.uint8Array({ maxLength: 40 }), (words, rest) => {
      const returned = Buffer.concat([
        bytesOf(`0x${words.map((one) => one.toString(16).padStart(64, '0')).join('')}`),
        rest,
      ])
      const decoded = decodeBytes(returned)
      assert.ok((decoded?.length ?? 0) <= returned.length)
      decodeString(returned)
    }),
  )
})

test('a string without padding is read, one that is cut or no UTF-8 is not', () => {
  const whole = bytesOf(coder.encode(['string'], ['ipfs://bafy']))
  assert.equal(decodeString(whole.subarray(0, 64 + 11)), 'ipfs://bafy')
  assert.equal(decodeString(whole.subarray(0, 64 + 10)), undefined)
  assert.equal(decodeString(bytesOf(coder.encode(['bytes'], ['0xfffe']))), undefined)
  assert.equal(decodeString(Buffer.alloc(0)), undefined)
  assert.equal(decodeString(Buffer.alloc(64)), undefined)
})

test('what is no answer of the probe is refused', () => {
  const entry = `09${'0'.repeat(63)}7${'0'.repeat(8)}`
  assert.deepEqual(
    decodeProbe(`0x${entry}`, [7n]).map(({ id, outcome }) => [id, outcome]),
    [[7n, 'not-run']],
  )
  for (const answer of ['0x', `0x${entry}00`, `0x${entry.slice(2)}`, `0x05${entry.slice(2)}`, undefined, '0xzz', 5]) {
    assert.throws(() => decodeProbe(answer, [7n]), { kind: 'unsupported' })
  }
})

/** What providers and clients say, and what is to be done about it. */
const SAID: readonly [RpcFailureKind, { code: number; message: string; data?: unknown }][] = [
  ['reverted', { code: 3, message: 'execution reverted: no such token', data: '0x08c379a0' }],
  ['reverted', { code: -32_000, message: 'VM execution error.', data: 'Reverted 0x08c379a0' }],
  ['reverted', { code: -32_603, message: 'Error: VM Exception', data: { data: '0x08c379a0' } }],
  ['too-much', { code: -32_005, message: 'query returned more than 10000 results' }],
  ['too-much', { code: -32_600, message: 'You can make eth_getLogs requests with up to a 10 block range.' }],
  ['too-much', { code: -32_602, message: 'eth_getLogs is limited to a 10,000 range' }],
  ['too-much', { code: -32_000, message: 'out of gas' }],
  ['too-much', { code: -32_000, message: 'call retuned result on length 131072 exceeding return data limit 100000' }],
  ['too-much', { code: -32_600, message: 'batch too large' }],
  ['busy', { code: 429, message: 'Your app has exceeded its compute units per second capacity' }],
  ['busy', { code: -32_005, message: 'daily request count exceeded, request rate limited' }],
  ['behind', { code: -32_000, message: 'header not found' }],
  ['behind', { code: -39_001, message: 'Unknown block' }],
  ['behind', { code: -32_000, message: 'missing trie node 0xabc (path )' }],
  ['unsupported', { code: -32_601, message: 'the method eth_foo does not exist/is not available' }],
  ['unsupported', { code: -32_602, message: 'too many arguments, want at most 2' }],
  ['refused', { code: -32_000, message: 'something else' }],
]

test('failures are told apart by what providers say', () => {
  for (const [kind, error] of SAID) assert.equal(failureOfAnswer(error).kind, kind, error.message)
})
