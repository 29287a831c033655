import { performance } from 'node:perf_hooks'
import { TypedDataEncoder } from 'ethers'
import { anchorCall, type OnChain } from '../../services/chain/anchor/anchor-call.ts'
import { isSignedByKey } from '../../services/chain/anchor/check-on-chain.ts'
import type { Hex } from '../../services/chain/hex.ts'
import { checkStatements } from '../../services/core/proof/check-proof.ts'
import { MerkleTree } from '../../services/core/proof/merkle-tree.ts'
import { ProofFile } from '../../services/core/proof/proof-file.ts'
import { keccak, statementHash, type PinStatement } from '../../services/core/proof/typed-data.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { makeProofFile } from '../support/proof-file.ts'
import { STATEMENT_TYPES } from '../support/statement-types.ts'
import { median, type Row } from './rows.ts'

const LEAVES = 1_000_000
const ROUNDS = 21

/** What a proof costs whoever anchors it, and whoever checks it. */
export async function benchProof(): Promise<Row[]> {
  return [...(await gasRows()), ...treeRows(), await verificationRow()]
}

async function gasRows(): Promise<Row[]> {
  await using chain = await startChain()
  const pinAnchor = await chain.deployOwn('PinAnchor')
  const eas = await chain.deploy('FixtureEas')
  const rows: Row[] = []
  for (const [kind, contract] of [
    ['eas-timestamp', eas],
    ['pin-anchor', pinAnchor],
    ['event', pinAnchor],
  ] as const) {
    const gas = await gasOf(chain, kind, contract)
    rows.push({
      what: `gas of an anchor, ${kind}`,
      measured: gas.toLocaleString('en'),
      against: '',
      ratio: undefined,
      target: '<= 50,000',
      isMet: gas <= 50_000,
    })
  }
  return rows
}

async function gasOf(chain: TestChain, kind: OnChain, contract: Hex): Promise<number> {
  const root = `0x${Buffer.from(keccak(Buffer.from(kind))).toString('hex')}` as const
  const manifest = Buffer.from(`01701220${'ab'.repeat(32)}`, 'hex')
  const data = anchorCall(kind, { root, leaves: LEAVES, takenAt: 1_800_000_000, manifest })
  return await chain.gasOf(contract, data)
}

function treeRows(): Row[] {
  const statement = {
    cid: Buffer.from(`01551220${'cd'.repeat(32)}`, 'hex'),
    size: 1_000_000,
    policy: keccak(Buffer.from('policy')),
    replicas: 3,
    holders: keccak(Buffer.from('holders')),
    checkedAt: 1_800_000_000,
    validUntil: 1_800_100_000,
  }
  const start = performance.now()
  const leaves = Array.from({ length: LEAVES }, (_, size) => statementHash({ ...statement, size }))
  const hashedMs = performance.now() - start
  const tree = new MerkleTree(leaves)
  const longest = Math.max(...leaves.slice(0, 1_000).map((leaf) => tree.path(leaf).length))
  const each = (hashedMs * 1_000) / LEAVES
  const theirs = hashedByEthers(statement)
  return [
    {
      what: `hashes of a path among ${LEAVES.toLocaleString('en')} statements`,
      measured: String(longest),
      against: '',
      ratio: undefined,
      target: '<= 20',
      isMet: longest <= 20,
    },
    {
      what: 'hash of a statement (EIP-712)',
      measured: `${each.toFixed(1)} µs`,
      against: `${theirs.toFixed(1)} µs by ethers`,
      ratio: each / theirs,
      target: '<= 0.33',
      isMet: each <= 0.33 * theirs,
    },
  ]
}

/** Microseconds of a hash. */
function hashedByEthers(statement: PinStatement): number {
  const count = 2_000
  const start = performance.now()
  for (let size = 0; size < count; size++)
    TypedDataEncoder.hashStruct('PinStatement', STATEMENT_TYPES, { ...statement, size })
  return ((performance.now() - start) * 1_000) / count
}

async function verificationRow(): Promise<Row> {
  const text = JSON.stringify(await makeProofFile({ roots: 1, holders: 3 }))
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    const proof = ProofFile.parse(JSON.parse(text))
    const isSound = checkStatements(proof, proof.takenAt).length === 0 && isSignedByKey(proof)
    times.push(performance.now() - start)
    if (!isSound) throw new Error('the proof does not hold')
  }
  const first = times[0] ?? Number.NaN
  return {
    what: 'offline verification of a pin with three holders',
    measured: `${median(times).toFixed(1)} ms, the first ${first.toFixed(1)} ms`,
    against: '',
    ratio: undefined,
    target: '< 50 ms',
    isMet: first < 50,
  }
}
