import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TypedDataEncoder } from 'ethers'
import * as fc from 'fast-check'
import { MerkleTree, rootOf } from '../../services/core/proof/merkle-tree.ts'
import { domainOf, keccak, reportDigest, rootDigest, statementHash } from '../../services/core/proof/typed-data.ts'
import { STATEMENT_TYPES } from '../support/statement-types.ts'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const uint64 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })

const ROOT = {
  PinStatements: [
    { name: 'root', type: 'bytes32' },
    { name: 'leaves', type: 'uint64' },
    { name: 'takenAt', type: 'uint64' },
    { name: 'seed', type: 'string' },
    { name: 'manifest', type: 'bytes' },
  ],
}
const REPORT = {
  CollectionReport: [
    { name: 'collection', type: 'string' },
    { name: 'report', type: 'bytes32' },
    { name: 'blockNumber', type: 'uint256' },
    { name: 'blockHash', type: 'bytes32' },
  ],
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`
}

test('statements, roots and reports are hashed as EIP-712 says', () => {
  const domain = domainOf(31_337, '0xA1207F3BBa224E2c9c3c6D5aF63D0eb1582Ce587')
  fc.assert(
    fc.property(
      fc.record({
        cid: fc.uint8Array({ maxLength: 80 }),
        size: uint64,
        policy: bytes32,
        replicas: fc.integer({ min: 0, max: 255 }),
        holders: bytes32,
        checkedAt: uint64,
        validUntil: uint64,
      }),
      fc.record({
        root: bytes32,
        leaves: uint64,
        takenAt: uint64,
        seed: fc.string({ unit: 'grapheme' }),
        manifest: bytes32,
      }),
      fc.record({
        collection: fc.string(),
        report: bytes32,
        blockNumber: fc.bigInt(0n, 2n ** 200n),
        blockHash: bytes32,
      }),
      (statement, root, report) => {
        assert.equal(
          hex(statementHash(statement)),
          TypedDataEncoder.hashStruct('PinStatement', STATEMENT_TYPES, statement),
        )
        assert.equal(hex(rootDigest(domain, root)), TypedDataEncoder.hash(domain, ROOT, root))
        assert.equal(hex(reportDigest(domain, report)), TypedDataEncoder.hash(domain, REPORT, report))
      },
    ),
    { numRuns: 50 },
  )
})

function leavesOf(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, place) => keccak(Buffer.from(String(place))))
}

test('roots are those of SimpleMerkleTree of @openzeppelin/merkle-tree 1.0.8', () => {
  const roots: readonly [leaves: number, root: string][] = [
    [1, '0x044852b2a670ade5407e78fb2863c51de9fcb96542a07186fe3aeda6bb8a116d'],
    [2, '0x0b4aa17bff8fc189efb37609ac5ea9fca0df4c834a6fbac74b24c8119c40fef2'],
    [3, '0x8911139c86aecdb43ccd0c0025cd651bc022096176972bc79b580a4340fc9013'],
    [100, '0x6554a66fbcb66bcf3a9cf7abefefb5787b293e1e27be719f6ac29e840dabad9c'],
    [1_001, '0x3cb63411d3074d302095d1d938efcf853adb1e6fda0dcf994b029befb3296330'],
  ]
  for (const [count, root] of roots) assert.equal(hex(new MerkleTree(leavesOf(count)).root), root)
})

test('the path of every leaf leads to the root, and that of no other hash does', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), (count) => {
      const leaves = leavesOf(count)
      const tree = new MerkleTree(leaves)
      for (const leaf of leaves) {
        const path = tree.path(leaf)
        assert.deepEqual(rootOf(leaf, path), tree.root)
        assert.notDeepEqual(rootOf(keccak(leaf), path), tree.root)
        assert.ok(path.length <= Math.ceil(Math.log2(count)))
      }
      assert.throws(() => tree.path(keccak(Buffer.from('elsewhere'))), RangeError)
    }),
    { numRuns: 20 },
  )
})
