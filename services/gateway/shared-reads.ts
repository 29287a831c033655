import type { CID } from 'multiformats/cid'
import type { BlockReader, GetOptions } from '../blocks/contract.ts'
import { unlessAborted } from '../core/unless-aborted.ts'

interface Read {
  answer: Promise<Uint8Array | undefined>
  isShared: boolean
}

/**
 * Reads of blocks from disk. What many ask for at the same time is read once, into one buffer, which then belongs to
 * nobody alone: a crowd that reads the same file takes the memory of one reader.
 */
export class SharedReads {
  readonly #store: Pick<BlockReader, 'get'>
  readonly #reads = new Map<string, Read>()

  constructor(store: Pick<BlockReader, 'get'>) {
    this.#store = store
  }

  /**
   * @param key of the block's multihash
   * @throws CORRUPT_BLOCK, STORAGE_FAILED; the signal's reason
   */
  async get(key: string, cid: CID, options: GetOptions = {}): Promise<Uint8Array | undefined> {
    for (let other = this.#reads.get(key); other !== undefined; other = this.#reads.get(key)) {
      other.isShared = true
      try {
        return await unlessAborted(other.answer, options.signal)
      } catch (error) {
        options.signal?.throwIfAborted()
        // The one who was reading it has gone; a failure of the disk is everybody's.
        if (!isAbort(error)) throw error
      }
    }
    return await this.#read(key, cid, options)
  }

  async #read(key: string, cid: CID, options: GetOptions): Promise<Uint8Array | undefined> {
    const read: Read = { answer: this.#store.get(cid, options), isShared: false }
    this.#reads.set(key, read)
    try {
      const bytes = await read.answer
      // Nobody can join any more, and those who have joined get the bytes only after this.
      if (read.isShared && bytes !== undefined) options.buffers?.keep(bytes)
      return bytes
    } finally {
      this.#reads.delete(key)
    }
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
}
