import type { CID } from 'multiformats/cid'
import { multihashKey } from './multihash-key.ts'

/**
 * The visited set of a walk. Blocks are told apart by multihash, so v0 and v1 of one block are one; but a block that is
 * linked under two codecs has to be followed under both, or raw links could hide a tree.
 */
export class SeenBlocks {
  readonly #codecs = new Map<string, number>()
  readonly #others = new Set<string>()

  /** `new`: never seen. `recoded`: its bytes were seen, but under another codec. */
  visit(cid: CID): 'new' | 'recoded' | 'seen' {
    const key = multihashKey(cid)
    const codec = this.#codecs.get(key)
    if (codec === undefined) {
      this.#codecs.set(key, cid.code)
      return 'new'
    }
    if (codec === cid.code) return 'seen'
    const other = `${cid.code}:${key}`
    if (this.#others.has(other)) return 'seen'
    this.#others.add(other)
    return 'recoded'
  }
}
