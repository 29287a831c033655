import { isSignedBy } from '../node-key.ts'
import { nonceOf, type ChallengeSource } from './challenge.ts'
import { MerkleTree } from './merkle-tree.ts'
import { keccak } from './typed-data.ts'

/** Answers to one node's challenge, as some node gave them: that node itself, or another that checks it. */
export interface Possession {
  /** CIDv1, base32. */
  cid: string
  /** 32 bytes, hex with `0x`. */
  nonce: string
  /** Whose challenge it is: base64url of 32 bytes. */
  subject: string
  /** Of the whole DAG. */
  blocks: number
  bytes: number
  /** `answersDigest`. */
  answers: string
}

/** A copy of a root, as its node stated it and others checked it. */
export interface HolderStatement {
  /** Ed25519, base64url of 32 bytes. */
  node: string
  blocks: number
  bytes: number
  answers: string
  /** Of the node, over {@link possessionMessage}. */
  signature: string
  /** Others that came to the same answers from copies of their own; none: nobody could check. */
  checkedBy: { node: string; signature: string }[]
}

/** The text that nodes sign. */
export function possessionMessage({ cid, nonce, subject, blocks, bytes, answers }: Possession): string {
  return `holdfast possession ${cid} ${nonce} ${subject} ${blocks} ${bytes} ${answers}`
}

/** Root of the tree over the statements of a root's holders. */
export function holdersRoot(cid: string, source: ChallengeSource, holders: readonly HolderStatement[]): Uint8Array {
  return new MerkleTree(holders.map((holder) => holderHash(cid, source, holder))).root
}

/** Whether everybody has signed what is said of them, and nobody checked itself or twice. */
export function isHolderSigned(cid: string, source: ChallengeSource, holder: HolderStatement): boolean {
  const message = messageOf(cid, source, holder)
  const nodes = [holder, ...holder.checkedBy]
  if (new Set(nodes.map(({ node }) => node)).size < nodes.length) return false
  return nodes.every(({ node, signature }) => isSignedBy(node, message, signature))
}

/** A leaf: hash of the message, the node's signature, and key and signature of whoever checked it. */
function holderHash(cid: string, source: ChallengeSource, holder: HolderStatement): Uint8Array {
  const checks = holder.checkedBy.flatMap(({ node, signature }) => [bytesOf(node), bytesOf(signature)])
  return keccak(Buffer.from(messageOf(cid, source, holder)), bytesOf(holder.signature), ...checks)
}

function messageOf(cid: string, source: ChallengeSource, holder: HolderStatement): string {
  const { node, blocks, bytes, answers } = holder
  return possessionMessage({ cid, nonce: nonceOf(source), subject: node, blocks, bytes, answers })
}

function bytesOf(base64url: string): Buffer {
  return Buffer.from(base64url, 'base64url')
}
