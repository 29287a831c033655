import { canonicalJson, type Json } from '../collection-report/canonical-json.ts'
import { parseCid, toV1 } from '../cid.ts'
import type { Policy } from '../policy.ts'
import { sourceText } from './challenge.ts'
import { rootOf } from './merkle-tree.ts'
import { holdersRoot, isHolderSigned } from './possession.ts'
import type { ProofFile, StatementOfProof } from './proof-file.ts'
import { CLOCK_SECONDS } from './seed-time.ts'
import { hexOf, keccak, rootDigest, statementHash, type PinStatement, type SignedRoot } from './typed-data.ts'

/** What does not hold of a proof, in words. */
export interface ProofProblem {
  /** Of which statement; undefined: of the proof. */
  cid?: string
  problem: string
}

/**
 * All that can be checked of a proof without asking anybody, except for the publisher's signature, which is to be checked
 * over {@link signedDigest}.
 * @param nowSeconds since 1970
 */
export function checkStatements(proof: ProofFile, nowSeconds: number): ProofProblem[] {
  const seen = new Set<string>()
  const problems = proof.statements.flatMap((statement): ProofProblem[] => {
    const leaf = hexOf(leafOf(proof, statement))
    const isTwice = seen.has(leaf)
    seen.add(leaf)
    const found = isTwice ? ['it stands there twice'] : problemsOf(proof, statement, nowSeconds)
    return found.map((problem) => ({ cid: statement.cid, problem }))
  })
  if (proof.takenAt > nowSeconds + CLOCK_SECONDS) problems.push({ problem: 'it was taken in the future' })
  if (proof.statements.length > proof.leaves) problems.push({ problem: 'there are more statements than were signed' })
  return problems
}

/** What the publisher has signed. */
export function signedDigest(proof: ProofFile): Uint8Array {
  return rootDigest(proof.domain, signedRootOf(proof))
}

/** The statement as it is hashed. */
export function statementOf(seed: ProofFile['seed'], statement: StatementOfProof): PinStatement {
  const { cid, size, policy, replicas, holders, checkedAt, validUntil } = statement
  return {
    cid: toV1(parseCid(cid)).bytes,
    size,
    policy: policyHash(policy),
    replicas,
    holders: holdersRoot(cid, seed, holders),
    checkedAt,
    validUntil,
  }
}

function policyHash(policy: Policy): Uint8Array {
  return keccak(Buffer.from(canonicalJson(policy as unknown as Json)))
}

function signedRootOf({ root, leaves, takenAt, seed, manifest }: ProofFile): SignedRoot {
  const cid = manifest === null ? new Uint8Array() : parseCid(manifest).bytes
  return { root: bytesOf(root), leaves, takenAt, seed: sourceText(seed), manifest: cid }
}

function problemsOf(proof: ProofFile, statement: StatementOfProof & { path: string[] }, nowSeconds: number): string[] {
  const { cid, holders, replicas, size, checkedAt, validUntil, path } = statement
  const leadsTo = hexOf(rootOf(leafOf(proof, statement), path.map(bytesOf)))
  const checks: [holds: boolean, problem: string][] = [
    [leadsTo === proof.root, 'it does not lead to the signed root'],
    [holders.every((holder) => isHolderSigned(cid, proof.seed, holder)), 'a signature of a node does not hold'],
    [new Set(holders.map(({ node }) => node)).size === replicas, 'it has another number of copies than it says'],
    [holders.every(({ bytes }) => bytes === size), 'its holders speak of another size'],
    [checkedAt <= proof.takenAt && checkedAt < validUntil, 'its times are in no order'],
    [proof.takenAt <= validUntil, 'it was no longer valid when it was signed'],
    [nowSeconds <= validUntil, `it was valid until ${new Date(validUntil * 1_000).toISOString()}`],
  ]
  return checks.flatMap(([holds, problem]) => (holds ? [] : [problem]))
}

function leafOf({ seed }: ProofFile, statement: StatementOfProof): Uint8Array {
  return statementHash(statementOf(seed, statement))
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.slice(2), 'hex')
}
