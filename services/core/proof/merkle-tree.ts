import { keccak } from './typed-data.ts'

/**
 * A Merkle tree of Keccak-256 whose pairs are sorted, as OpenZeppelin's `MerkleProof` verifies it and its
 * `SimpleMerkleTree` lays it out: a path tells no sides. Leaves are hashes already; they are put in their own order, so that
 * the same set has the same root.
 */
export class MerkleTree {
  /** The root first, the children of i at 2i+1 and 2i+2, leaves last in falling order. */
  readonly #nodes: Uint8Array[]
  readonly #count: number
  readonly #sorted: Uint8Array[]

  /** @param leaves of 32 bytes, at least one, all different */
  constructor(leaves: readonly Uint8Array[]) {
    if (leaves.length === 0) throw new RangeError('a Merkle tree has a leaf')
    this.#count = leaves.length
    this.#sorted = leaves.toSorted((a, b) => Buffer.compare(a, b))
    const nodes = [...leaves.slice(1), ...this.#sorted.toReversed()]
    for (let index = leaves.length - 2; index >= 0; index--) {
      nodes[index] = pair(nodes[2 * index + 1] as Uint8Array, nodes[2 * index + 2] as Uint8Array)
    }
    this.#nodes = nodes
  }

  get root(): Uint8Array {
    return this.#nodes[0] as Uint8Array
  }

  /** The hashes beside the way from a leaf to the root. @throws RangeError when it is no leaf of this tree */
  path(leaf: Uint8Array): Uint8Array[] {
    const path: Uint8Array[] = []
    for (let at = 2 * this.#count - 2 - this.#place(leaf); at > 0; at = (at - 1) >> 1) {
      path.push(this.#nodes[at % 2 === 1 ? at + 1 : at - 1] as Uint8Array)
    }
    return path
  }

  #place(leaf: Uint8Array): number {
    let [low, high] = [0, this.#count - 1]
    while (low <= high) {
      const middle = (low + high) >> 1
      const order = Buffer.compare(this.#sorted[middle] as Uint8Array, leaf)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    throw new RangeError('this is no leaf of the tree')
  }
}

/** The root to which a path leads from a leaf. */
export function rootOf(leaf: Uint8Array, path: readonly Uint8Array[]): Uint8Array {
  return path.reduce(pair, leaf)
}

function pair(a: Uint8Array, b: Uint8Array): Uint8Array {
  return Buffer.compare(a, b) < 0 ? keccak(a, b) : keccak(b, a)
}
