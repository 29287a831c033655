import type { AnsweredContent } from '../catalog/proofs-challenging.ts'
import type { JudgedContent } from '../catalog/proofs-stating.ts'
import { statementOf } from '../core/proof/check-proof.ts'
import { nonceOf, type ChallengeSource } from '../core/proof/challenge.ts'
import { judgeHolders, type PossessionAnswer } from '../core/proof/judge-holders.ts'
import type { StatementOfProof } from '../core/proof/proof-file.ts'
import { statementHash } from '../core/proof/typed-data.ts'
import { Policy } from '../core/policy.ts'
import { DAY_MS, SECOND_MS } from '../core/units.ts'

/** A statement is about a moment; after so long it is of no use to anybody. */
const VALID_SECONDS = (30 * DAY_MS) / SECOND_MS

/** What can be stated of a root by the answers of its holders: one statement for each policy under which it is pinned. */
export function judgeContent(seed: ChallengeSource, content: AnsweredContent): JudgedContent {
  const { place, cid, nodes, answers } = content
  const { holders, refused } = judgeHolders({ cid, nonce: nonceOf(seed), nodes }, answers.flatMap(answersIn))
  const [first] = holders
  if (first === undefined) return { place, cid, refused, statements: [] }
  const named = new Set(holders.flatMap(({ node, checkedBy }) => [node, ...checkedBy.map((check) => check.node)]))
  const checkedAt = Math.min(...answers.flatMap(({ node, answeredAt }) => (named.has(node) ? [answeredAt] : [])))
  const common = { cid, size: first.bytes, replicas: holders.length, holders }
  const statements = new Map<string, { leaf: Uint8Array; statement: StatementOfProof }>()
  for (const policy of content.policies.map((spec) => Policy.parse(spec))) {
    const statement = { ...common, policy, checkedAt, validUntil: checkedAt + VALID_SECONDS }
    const leaf = statementHash(statementOf(seed, statement))
    statements.set(Buffer.from(leaf).toString('hex'), { leaf, statement })
  }
  return { place, cid, refused, statements: [...statements.values()] }
}

function answersIn({ node, report }: AnsweredContent['answers'][number]): PossessionAnswer[] {
  const { blocks, bytes, answers } = report
  return answers.map((answer) => ({
    node,
    subject: answer.subject,
    blocks,
    bytes,
    answers: Buffer.from(answer.answers, 'base64url'),
    signature: answer.signature,
  }))
}
