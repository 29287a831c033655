import { isSignedBy } from '../node-key.ts'
import { answersDigest, hasGap } from './challenge.ts'
import { possessionMessage, type HolderStatement } from './possession.ts'

/** What one node answered to the challenge of one: its own, or another's that it checks. Keys are base64url. */
export interface PossessionAnswer {
  node: string
  subject: string
  blocks: number
  bytes: number
  /** One behind the other, in the order of their places. */
  answers: Uint8Array
  signature: string
}

/** Why a node's copy is not stated. */
export type HolderRefusal =
  | { node: string; reason: 'NO_ANSWER' }
  /** Its own answers have gaps. */
  | { node: string; reason: 'BLOCKS_MISSING' }
  /** Nobody who has all blocks comes to the same answers. */
  | { node: string; reason: 'REFUTED' }

export interface JudgedHolders {
  holders: HolderStatement[]
  refused: HolderRefusal[]
}

/**
 * Which of the nodes have shown that they have all blocks that they were asked for. A copy that another holder comes to the
 * same answers for is checked; one that nobody could check counts, and says so; one that others contradict does not.
 * @param nodes who was asked, by public key
 */
export function judgeHolders(
  { cid, nonce, nodes }: { cid: string; nonce: string; nodes: readonly string[] },
  answers: readonly PossessionAnswer[],
): JudgedHolders {
  const valid = answers.filter((answer) => isGenuine(cid, nonce, answer))
  const judged: JudgedHolders = { holders: [], refused: [] }
  for (const node of nodes) {
    const about = valid.filter(({ subject }) => subject === node)
    const own = about.find((answer) => answer.node === node)
    const others = about.filter((answer) => answer.node !== node && !hasGap(answer.answers))
    const checks = others.filter((other) => own !== undefined && isSame(own, other))
    if (own === undefined) judged.refused.push({ node, reason: 'NO_ANSWER' })
    else if (hasGap(own.answers)) judged.refused.push({ node, reason: 'BLOCKS_MISSING' })
    else if (others.length > 0 && checks.length === 0) judged.refused.push({ node, reason: 'REFUTED' })
    else judged.holders.push(statementOf(own, checks))
  }
  return ofOneSize(judged)
}

/** Holders of one root have the same blocks; where nobody checked another, those that the first does not agree with are refused. */
function ofOneSize({ holders, refused }: JudgedHolders): JudgedHolders {
  const first = holders.find(({ checkedBy }) => checkedBy.length > 0) ?? holders[0]
  const isLike = ({ blocks, bytes }: HolderStatement): boolean => blocks === first?.blocks && bytes === first.bytes
  const others = holders.filter((holder) => !isLike(holder))
  return {
    holders: holders.filter(isLike),
    refused: [...refused, ...others.map(({ node }) => ({ node, reason: 'REFUTED' as const }))],
  }
}

function isGenuine(cid: string, nonce: string, answer: PossessionAnswer): boolean {
  const { node, subject, blocks, bytes, signature } = answer
  const message = possessionMessage({ cid, nonce, subject, blocks, bytes, answers: answersDigest(answer.answers) })
  return isSignedBy(node, message, signature)
}

function isSame(a: PossessionAnswer, b: PossessionAnswer): boolean {
  return a.blocks === b.blocks && a.bytes === b.bytes && Buffer.compare(a.answers, b.answers) === 0
}

function statementOf(own: PossessionAnswer, checks: readonly PossessionAnswer[]): HolderStatement {
  const { node, blocks, bytes, answers, signature } = own
  const checkedBy = checks.map((check) => ({ node: check.node, signature: check.signature }))
  return { node, blocks, bytes, answers: answersDigest(answers), signature, checkedBy }
}
