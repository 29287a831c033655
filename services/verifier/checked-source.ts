import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { cidKey, RAW } from '../core/cid.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import { matches } from '../core/verify.ts'

/** Somebody who may have blocks, and is not trusted. */
export interface Holder {
  /** In the evidence. */
  name: string
  /**
   * The bytes that it gives for a block; undefined when it says that it does not have it.
   * @throws CORRUPT_BLOCK when it says itself that its copy is bad; any other failure: it could not be asked
   */
  get(cid: CID, options: Abortable): Promise<Uint8Array | undefined>
}

/** Blocks that are asked for again: directories, which thousands of tokens share. */
const KEPT_BYTES = 64 * MIB

/**
 * Blocks of several holders, each checked against its CID. The holders are asked one after the other until one has it, so
 * that "nobody has it" is said only after everybody was asked, and never when somebody could not be.
 */
export class CheckedSource {
  readonly #holders: readonly Holder[]
  readonly #kept = new Map<string, Uint8Array>()
  #keptBytes = 0

  constructor(holders: readonly Holder[]) {
    this.#holders = holders
  }

  /** The same blocks, with a note in `corruptAt` of each holder that gives wrong bytes meanwhile. */
  reading(corruptAt: Set<string>): BlockSource {
    return { get: (cid, options = {}) => this.#get(cid, corruptAt, options) }
  }

  async #get(cid: CID, corruptAt: Set<string>, options: Abortable): Promise<Uint8Array | undefined> {
    const key = cidKey(cid)
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    let isCorrupt = false
    // Nobody was asked: that is no evidence that nobody has it.
    let failure: unknown = this.#holders.length === 0 ? new Error('nobody can be asked') : undefined
    for (const holder of this.#holders) {
      options.signal?.throwIfAborted()
      try {
        const bytes = await holder.get(cid, options)
        if (bytes === undefined) continue
        if (matches(cid, bytes)) return this.#keep(key, cid, bytes)
        isCorrupt = true
        corruptAt.add(holder.name)
      } catch (error) {
        options.signal?.throwIfAborted()
        if (hasCode(error, 'CORRUPT_BLOCK')) {
          isCorrupt = true
          corruptAt.add(holder.name)
        } else failure = error
      }
    }
    if (isCorrupt) throw new HoldfastError('CORRUPT_BLOCK', `Nobody has block ${key} as it should be.`)
    if (failure !== undefined) {
      throw new HoldfastError('UPSTREAM_FAILED', `Not everybody could be asked for block ${key}.`, { cause: failure })
    }
    return undefined
  }

  #keep(key: string, { code }: CID, bytes: Uint8Array): Uint8Array {
    if (code === RAW) return bytes
    while (this.#keptBytes + bytes.length > KEPT_BYTES) {
      const [oldest, dropped] = this.#kept.entries().next().value ?? []
      if (oldest === undefined || dropped === undefined) break
      this.#kept.delete(oldest)
      this.#keptBytes -= dropped.length
    }
    this.#kept.set(key, bytes)
    this.#keptBytes += bytes.length
    return bytes
  }
}
