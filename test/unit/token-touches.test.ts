import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AbiCoder } from 'ethers'
import * as fc from 'fast-check'
import { touchesOf, TOUCHING_TOPICS, type TokenTouch } from '../../services/chain/follow/token-touches.ts'
import { wordOf } from '../../services/chain/hex.ts'
import type { Log } from '../../services/chain/read-logs.ts'
import { topicOf } from '../support/contracts-abi.ts'

const ALL: TokenTouch = { ids: undefined, isUpgrade: false }
const SOMEBODY = 7n
const coder = AbiCoder.defaultAbiCoder()

function logOf(signature: string, topics: readonly bigint[], data = '0x'): Log {
  const words = topics.map((topic) => `0x${wordOf(topic)}`)
  return { address: '0x', block: 1n, blockHash: '0x', index: 0n, topics: [topicOf(signature), ...words], data }
}

function ids(from: bigint, to = from): TokenTouch[] {
  return [{ ids: { from, to }, isUpgrade: false }]
}

const CASES: [what: string, log: Log, touches: TokenTouch[]][] = [
  ['a token that is made', logOf('Transfer(address,address,uint256)', [0n, SOMEBODY, 5n]), ids(5n)],
  ['a token that is burned', logOf('Transfer(address,address,uint256)', [SOMEBODY, 0n, 5n]), ids(5n)],
  ['a token that is passed on', logOf('Transfer(address,address,uint256)', [SOMEBODY, 8n, 5n]), []],
  ['a transfer of ERC-20', logOf('Transfer(address,address,uint256)', [0n, SOMEBODY], `0x${wordOf(5)}`), []],
  [
    'many tokens by one event',
    logOf('ConsecutiveTransfer(uint256,uint256,address,address)', [3n, 0n, SOMEBODY], `0x${wordOf(9)}`),
    ids(3n, 9n),
  ],
  [
    'all tokens there could be by one event',
    logOf('ConsecutiveTransfer(uint256,uint256,address,address)', [0n, 0n, SOMEBODY], `0x${'ff'.repeat(32)}`),
    [ALL],
  ],
  [
    'several tokens of ERC-1155',
    logOf(
      'TransferBatch(address,address,address,uint256[],uint256[])',
      [SOMEBODY, 0n, SOMEBODY],
      coder.encode(
        ['uint256[]', 'uint256[]'],
        [
          [4n, 6n],
          [1n, 1n],
        ],
      ),
    ),
    [...ids(4n), ...ids(6n)],
  ],
  ['an update of one token', logOf('MetadataUpdate(uint256)', [], `0x${wordOf(2n ** 255n)}`), ids(2n ** 255n)],
  ['an update of some', logOf('BatchMetadataUpdate(uint256,uint256)', [], `0x${wordOf(1)}${wordOf(3)}`), ids(1n, 3n)],
  ['an update of all', logOf('BatchMetadataUpdate(uint256,uint256)', [], `0x${wordOf(0)}${'ff'.repeat(32)}`), [ALL]],
  ['a range that ends before it begins', logOf('BatchMetadataUpdate(uint256,uint256)', [9n, 3n]), [ALL]],
  ['a URI of one token', logOf('URI(string,uint256)', [12n]), ids(12n)],
  ['the contract itself', logOf('ContractURIUpdated()', []), ids(-1n)],
  ['other code', logOf('Upgraded(address)', [SOMEBODY]), [{ ids: undefined, isUpgrade: true }]],
]

for (const [what, log, touches] of CASES) {
  test(`${what} touches what it says`, () => assert.deepEqual(touchesOf(log), touches))
}

test('whatever a contract puts into its events, they touch something or nothing, in no time', () => {
  const topic = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n })
  const data = fc.uint8Array({ maxLength: 200 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`)
  fc.assert(
    fc.property(fc.constantFrom(...TOUCHING_TOPICS), fc.array(topic, { maxLength: 3 }), data, (first, rest, text) => {
      const topics = [first, ...rest.map((word) => `0x${wordOf(word)}`)]
      for (const { ids: touched } of touchesOf({ ...logOf('x()', []), topics, data: text })) {
        assert.ok(touched === undefined || touched.to - touched.from < 10_000n)
      }
    }),
  )
})
