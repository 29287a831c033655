import { cidKey } from '../../services/core/cid.ts'
import { statementOf } from '../../services/core/proof/check-proof.ts'
import { nonceOf, sourceText, type ChallengeSource } from '../../services/core/proof/challenge.ts'
import { judgeHolders } from '../../services/core/proof/judge-holders.ts'
import { MerkleTree } from '../../services/core/proof/merkle-tree.ts'
import { PROOF_SAYS, type ProofFile, type StatementOfProof } from '../../services/core/proof/proof-file.ts'
import { domainOf, hexOf, rootDigest, statementHash } from '../../services/core/proof/typed-data.ts'
import { DEFAULT_POLICY } from '../../services/core/policy.ts'
import { MemoryBlocks } from './dag.ts'
import { TEST_KEY } from './proofs.ts'
import { ProvingNode } from './proving-node.ts'

/** A proof that was made without a service: files of one block, held by so many nodes. */
export async function makeProofFile({
  roots,
  holders,
  seed = { kind: 'random', value: `0x${'5e'.repeat(32)}` },
  takenAt = Math.floor(Date.now() / 1_000),
  checkedAt = takenAt,
  validSeconds = 1_000,
  chainId = 1,
}: {
  roots: number
  holders: number
  seed?: ChallengeSource
  takenAt?: number
  checkedAt?: number
  validSeconds?: number
  chainId?: number
}): Promise<ProofFile> {
  await using stack = new AsyncDisposableStack()
  const nodes = Array.from({ length: holders }, () => stack.use(new ProvingNode()))
  const keys = nodes.map(({ publicKey }) => publicKey)
  const source = new MemoryBlocks()
  const statements: StatementOfProof[] = []
  for (let place = 0; place < roots; place++) {
    const root = source.addRaw(Buffer.from(`content ${place}`))
    const cid = cidKey(root)
    const answers = []
    for (const node of nodes) {
      await node.hold(root, source)
      const report = await node.answer({ id: '1', root: cid, nonce: nonceOf(seed), subjects: keys })
      for (const { answers: text, ...answer } of report.answers) {
        const { blocks, bytes } = report
        answers.push({ ...answer, node: node.publicKey, blocks, bytes, answers: Buffer.from(text, 'base64url') })
      }
    }
    const judged = judgeHolders({ cid, nonce: nonceOf(seed), nodes: keys }, answers)
    const size = judged.holders[0]?.bytes ?? 0
    const times = { checkedAt, validUntil: checkedAt + validSeconds }
    statements.push({ cid, size, policy: DEFAULT_POLICY, replicas: holders, holders: judged.holders, ...times })
  }
  const leaves = statements.map((statement) => statementHash(statementOf(seed, statement)))
  const tree = new MerkleTree(leaves)
  const domain = domainOf(chainId)
  const signed = { root: tree.root, leaves: roots, takenAt, seed: sourceText(seed), manifest: new Uint8Array() }
  return {
    schema: 'holdfast-proof-1',
    says: PROOF_SAYS,
    domain,
    seed,
    root: hexOf(tree.root),
    leaves: roots,
    takenAt,
    manifest: null,
    signer: TEST_KEY.address,
    signature: TEST_KEY.sign(rootDigest(domain, signed)),
    anchor: null,
    statements: statements.map((statement, index) => ({
      ...statement,
      path: tree.path(leaves[index] as Uint8Array).map(hexOf),
    })),
  }
}
