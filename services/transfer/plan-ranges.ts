import type { CID } from 'multiformats/cid'
import type { ManifestEntry } from '../core/block-source.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import type { ManifestPage, TransferClient } from './client.ts'
import { cutRanges, type Range } from './ranges.ts'
import { MANIFEST_PAGE_ENTRIES } from './wire.ts'

export interface PlanOptions {
  root: CID
  client: Pick<TransferClient, 'manifest'>
  sources: readonly string[]
  maxBytes: number
  signal: AbortSignal
  isHeld: (cid: CID) => boolean
  onHeld: (entry: ManifestEntry) => void
  /** Whether more was fetched than the DAG may have: the manifest lies, and planning ends. */
  isEnough: () => boolean
}

/**
 * The ranges of blocks that this node lacks, by the manifest of the first source that gives one; the next source goes on
 * where one fails. One page is held at a time.
 * @throws UPSTREAM_FAILED when no source has a manifest; DAG_TOO_LARGE when all that do say that the DAG is too large
 */
export async function* planRanges(options: PlanOptions): AsyncGenerator<Range> {
  const { maxBytes, isHeld, onHeld, isEnough } = options
  let failure = new HoldfastError('UPSTREAM_FAILED', `No node that was named holds ${options.root.toString()}.`)
  let from = 0
  for (const source of options.sources) {
    try {
      for (;;) {
        const page = await readPage(source, from, options)
        if (page === undefined) break
        if (page.bytes > maxBytes) throw tooLarge(page.bytes, maxBytes)
        from += page.entries.length
        yield* cutRanges(lacking(page.entries, isHeld, onHeld))
        // Every block but an empty one has a byte, so that more of them cannot be true.
        if (page.entries.length === 0 || from >= page.blocks || from > maxBytes + 1 || isEnough()) return
      }
    } catch (error) {
      options.signal.throwIfAborted()
      if (!hasCode(error)) throw error
      failure = error
    }
  }
  if (from === 0) throw failure
}

async function readPage(source: string, from: number, options: PlanOptions): Promise<ManifestPage | undefined> {
  const { client, root, signal } = options
  return await client.manifest(source, root, { from, to: from + MANIFEST_PAGE_ENTRIES, signal })
}

function* lacking(
  entries: Iterable<ManifestEntry>,
  isHeld: (cid: CID) => boolean,
  onHeld: (entry: ManifestEntry) => void,
): Generator<ManifestEntry> {
  for (const entry of entries) {
    if (isHeld(entry.cid)) onHeld(entry)
    else yield entry
  }
}

function tooLarge(bytes: number, maxBytes: number): HoldfastError {
  return new HoldfastError('DAG_TOO_LARGE', `The DAG has ${bytes} bytes; ${maxBytes} are allowed.`)
}
