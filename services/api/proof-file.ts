import type { Sql } from '../catalog/database.ts'
import { leavesOf, statementsOf, type Proof } from '../catalog/proofs.ts'
import { HoldfastError } from '../core/errors.ts'
import { MerkleTree } from '../core/proof/merkle-tree.ts'
import { PROOF_SAYS, type ProofAnchor, type ProofFile, type StatementOfProof } from '../core/proof/proof-file.ts'
import { hexOf } from '../core/proof/typed-data.ts'

type Head = Omit<ProofFile, 'statements'>

interface Stated {
  leaf: Uint8Array
  statement: StatementOfProof
}

/**
 * A proof as a document: what is signed, then each statement with its path.
 * @param cid only the statements of this root: a proof that is small
 * @throws CONFLICT until it is signed; NOT_FOUND when there is no statement of the root
 */
export async function proofFile(sql: Sql, proof: Proof, cid?: string): Promise<AsyncGenerator<string>> {
  const head = headOf(proof)
  const tree = new MerkleTree(await leavesOf(sql, proof.id))
  const statements = statementsOf(sql, proof.id, cid)
  const first = await statements.next()
  if (first.done === true) throw new HoldfastError('NOT_FOUND', 'The proof has no statement of this root.')
  return lines(head, tree, [first.value], statements)
}

async function* lines(
  head: Head,
  tree: MerkleTree,
  ...parts: (Iterable<Stated> | AsyncIterable<Stated>)[]
): AsyncGenerator<string> {
  yield `${JSON.stringify(head, undefined, 2).slice(0, -2)},\n  "statements": [`
  let separator = '\n'
  for (const part of parts) {
    for await (const { leaf, statement } of part) {
      const path = tree.path(leaf).map(hexOf)
      yield `${separator}    ${JSON.stringify({ ...statement, path })}`
      separator = ',\n'
    }
  }
  yield '\n  ]\n}\n'
}

function headOf(proof: Proof): Head {
  const { state, seed, root, statements, takenAt, manifest, chainId, contract, signer, signature } = proof
  if (
    seed === null ||
    root === null ||
    takenAt === null ||
    contract === null ||
    signer === null ||
    signature === null
  ) {
    throw new HoldfastError('CONFLICT', `There is no proof yet: it is ${state}.`)
  }
  return {
    schema: 'holdfast-proof-1',
    says: PROOF_SAYS,
    domain: { name: 'Holdfast', version: '1', chainId: chainId ?? 0, verifyingContract: contract },
    seed,
    root,
    leaves: statements,
    takenAt,
    manifest,
    signer,
    signature,
    anchor: anchorOf(proof),
  }
}

/** Null for a proof that is anchored nowhere, or not begun to be. */
export function anchorOf({ anchorKind: kind, anchor }: Proof): ProofAnchor | null {
  if (kind === 'none' || anchor === null) return null
  const { publisher, state, transaction, blockNumber, blockHash } = anchor
  const block = blockNumber === null || blockHash === null ? null : { number: blockNumber, hash: blockHash }
  return { kind, publisher, transaction, block, state }
}
