import { createHmac, hash } from 'node:crypto'
import { keccak } from './typed-data.ts'

/**
 * Where the randomness of a challenge is from: a block of a chain, which nobody chooses and everybody can look up, or
 * random bytes of the control plane, whose choice one has to believe.
 */
export type ChallengeSource = { kind: 'block'; number: number; hash: string } | { kind: 'random'; value: string }

/** Blocks that are asked for. A node that lost a twentieth of them passes with less than 0.95^60, which is 4.6 %. */
const MOST_BLOCKS = 60
const ANSWER_BYTES = 32

/** The 32 bytes that seeds are made of: hex with `0x`. */
export function nonceOf(source: ChallengeSource): string {
  return source.kind === 'block' ? source.hash : source.value
}

/** The source as it is signed. */
export function sourceText(source: ChallengeSource): string {
  return source.kind === 'block' ? `block ${source.number} ${source.hash}` : `random ${source.value}`
}

/**
 * The seed of one node's challenge on one root: Keccak-256 of nonce, binary CIDv1 and the node's Ed25519 public key. Each
 * node has its own, so that the answer of one is of no use to another.
 * @param publicKey base64url of 32 bytes
 */
export function seedOf(nonce: string, cid: Uint8Array, publicKey: string): Uint8Array {
  return keccak(Buffer.from(nonce.slice(2), 'hex'), cid, Buffer.from(publicKey, 'base64url'))
}

/**
 * Places of the blocks that a seed asks for, in the order in which they are answered: all of them when there are at most
 * 60, else 60 different ones. Blocks are counted from 0 as a depth-first walk meets them, each once, a block before what it
 * links to.
 */
export function placesOf(seed: Uint8Array, blocks: number): number[] {
  if (blocks <= MOST_BLOCKS) return Array.from({ length: blocks }, (_, place) => place)
  const places = new Set<number>()
  const counter = Buffer.alloc(4)
  for (let draw = 0; places.size < MOST_BLOCKS; draw++) {
    counter.writeUInt32BE(draw)
    const value = BigInt(`0x${Buffer.from(keccak(seed, counter)).toString('hex')}`)
    places.add(Number(value % BigInt(blocks)))
  }
  return [...places]
}

/** What only somebody with the block can say: HMAC-SHA256 of its bytes under the seed. */
export function answerOf(seed: Uint8Array, block: Uint8Array): Uint8Array {
  return createHmac('sha256', seed).update(block).digest()
}

/** An answer for a block that is not there. */
export const NO_ANSWER = new Uint8Array(ANSWER_BYTES)

/** Answers in the order of their places, as they stand in a statement: SHA-256 of all of them, hex. */
export function answersDigest(answers: Uint8Array): string {
  return hash('sha256', answers, 'hex')
}

/** Whether a block is missing among answers that stand one behind the other. */
export function hasGap(answers: Uint8Array): boolean {
  for (let at = 0; at < answers.length; at += ANSWER_BYTES) {
    if (Buffer.compare(answers.subarray(at, at + ANSWER_BYTES), NO_ANSWER) === 0) return true
  }
  return answers.length === 0
}
