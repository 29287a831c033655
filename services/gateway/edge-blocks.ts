import type { CID } from 'multiformats/cid'
import type { BlockReader, GetOptions } from '../blocks/contract.ts'
import { cidKey } from '../core/cid.ts'
import type { EdgeReads } from '../core/edge-reads.ts'
import { hasCode } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'

/** The node's edge cache as its gateways use it: they read, and say what they read. */
export interface Edge {
  /** @param root whose DAG is being read; undefined when that is not known */
  get(cid: CID, root: CID | undefined, options?: GetOptions): Promise<Uint8Array | undefined>
  sizeOf(cid: CID): number | undefined
  /** Bytes of the root came from another node. */
  fetched(root: CID, bytes: number): void
}

export interface EdgeOptions {
  store: Pick<BlockReader, 'get' | 'sizeOf'>
  /** Takes what was read since the last time; not called while nothing was. */
  tell: (reads: EdgeReads) => void
  /** @default 1 s */
  tellEveryMs?: number
}

/** Others are counted the next time: whatever is read much is read again. */
const ROOTS_PER_TELL = 1_024
const SPOILED_PER_TELL = 64

/** Reads the edge cache and counts. Disposing tells what is left. */
export class EdgeBlocks implements Edge, Disposable {
  readonly #store: EdgeOptions['store']
  readonly #tell: EdgeOptions['tell']
  readonly #timer: NodeJS.Timeout
  readonly #roots = new Map<string, number>()
  readonly #spoiled = new Set<string>()

  constructor({ store, tell, tellEveryMs = SECOND_MS }: EdgeOptions) {
    this.#store = store
    this.#tell = tell
    this.#timer = setInterval(() => this.#flush(), tellEveryMs).unref()
  }

  async get(cid: CID, root: CID | undefined, options?: GetOptions): Promise<Uint8Array | undefined> {
    try {
      const bytes = await this.#store.get(cid, options)
      if (bytes !== undefined && root !== undefined) this.#count(root, bytes.length)
      return bytes
    } catch (error) {
      // What is in the cache is held elsewhere as well.
      if (!hasCode(error, 'CORRUPT_BLOCK', 'STORAGE_FAILED')) throw error
      if (this.#spoiled.size < SPOILED_PER_TELL) this.#spoiled.add(cid.toString())
      return undefined
    }
  }

  sizeOf(cid: CID): number | undefined {
    return this.#store.sizeOf(cid)
  }

  fetched(root: CID, bytes: number): void {
    this.#count(root, bytes)
  }

  #count(root: CID, bytes: number): void {
    const key = cidKey(root)
    const before = this.#roots.get(key)
    if (before === undefined && this.#roots.size >= ROOTS_PER_TELL) return
    this.#roots.set(key, (before ?? 0) + bytes)
  }

  #flush(): void {
    if (this.#roots.size === 0 && this.#spoiled.size === 0) return
    const reads = { roots: [...this.#roots], spoiled: [...this.#spoiled] }
    this.#roots.clear()
    this.#spoiled.clear()
    this.#tell(reads)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#flush()
  }
}
