import { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { RecentMap } from '../core/recent-map.ts'
import { resolve, type Resolved } from '../dag/resolve.ts'

/** Where a path led. */
export type Destination = Pick<Resolved, 'cid' | 'remainder' | 'path'>

const REMEMBERED_PATHS = 10_000
/** Longer ones are followed anew each time. */
const MAX_KEY_CHARACTERS = 512

/**
 * Follows paths, and remembers where they led: under a CID that never changes. A directory of a thousand entries costs
 * ten times as much to decode as a small file to send.
 */
export class KnownPaths {
  readonly #destinations = new RecentMap<string, Destination>(REMEMBERED_PATHS)

  /** @throws as {@link resolve} */
  async follow(root: CID, segments: readonly string[], blocks: BlockSource, options: Abortable): Promise<Destination> {
    if (segments.length === 0) return { cid: root, remainder: [], path: [root] }
    const key = [root.toString(), ...segments].join('/')
    const known = this.#destinations.get(key)
    if (known !== undefined) {
      this.#remember(key, known)
      return known
    }
    const { cid, remainder, path } = await resolve(root, segments, blocks, options)
    const found = { cid: detached(cid), remainder, path: path.map(detached) }
    if (key.length <= MAX_KEY_CHARACTERS) this.#remember(key, found)
    return found
  }

  #remember(key: string, destination: Destination): void {
    this.#destinations.set(key, destination)
  }
}

/** A CID out of a block is a view of it, and would keep the block in memory. */
function detached(cid: CID): CID {
  return CID.decode(cid.bytes.slice())
}
