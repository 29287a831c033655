import { existsSync } from 'node:fs'
import type { CID } from 'multiformats/cid'
import { SECOND_MS } from '../core/units.ts'
import { HoldfastError } from '../core/errors.ts'
import { BlockIndex } from './block-index.ts'
import type { BlockReader } from './contract.ts'
import { indexFolder } from './layout.ts'
import { BlockReads } from './reads.ts'
import { SegmentFiles } from './segment-files.ts'

/** How often a reader lets go of files that the writer has deleted. */
const RELEASE_MS = 10 * SECOND_MS

class Reader extends BlockReads implements BlockReader {
  readonly #index: BlockIndex
  readonly #segments: SegmentFiles
  readonly #timer: NodeJS.Timeout

  constructor(folder: string, index: BlockIndex, segments: SegmentFiles, { onCorrupt }: ReaderOptions) {
    super({
      folder,
      index,
      segments,
      refusal: () => undefined,
      onCorrupt: async (cid) => onCorrupt?.(cid),
    })
    this.#index = index
    this.#segments = segments
    this.#timer = setInterval(() => {
      segments.keepOnly((segment) => index.segment(segment) !== undefined)
    }, RELEASE_MS).unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#segments.close()
    await this.#index.close()
  }
}

export interface ReaderOptions {
  /** Told of a block whose bytes do not match. A reader changes nothing: the writer is to read it, and quarantine it. */
  onCorrupt?: (cid: CID) => void
}

/**
 * Opens a store read-only, beside the process that writes it: what that process has acknowledged is seen at the
 * latest in the next turn of the event loop.
 * @throws UNAVAILABLE when no process has made a store in the folder yet
 */
export function openBlockReader(folder: string, options: ReaderOptions = {}): Promise<BlockReader> {
  return Promise.resolve().then(() => {
    if (!existsSync(indexFolder(folder))) {
      throw new HoldfastError('UNAVAILABLE', `There is no block store at ${folder} yet.`)
    }
    return new Reader(folder, new BlockIndex(folder, { readOnly: true }), new SegmentFiles(folder), options)
  })
}
