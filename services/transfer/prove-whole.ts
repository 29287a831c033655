import type { CID } from 'multiformats/cid'
import type { BlockBatch, BlockStore } from '../blocks/contract.ts'
import type { Abortable, BlockSource, ManifestEntry } from '../core/block-source.ts'
import { hasCode } from '../core/errors.ts'
import { fetchDag } from '../dag/fetch-dag.ts'
import { walk } from '../dag/walk.ts'
import type { TransferClient } from './client.ts'
import { decodeEntries, encodeEntries } from './wire.ts'

export interface ProveOptions {
  root: CID
  sources: readonly string[]
  store: Pick<BlockStore, 'sizeOf'>
  client: Pick<TransferClient, 'block'>
  maxBytes: number
  signal: AbortSignal
}

/** A block can be lost (collected, found corrupt) between being fetched and being walked over; not often. */
const MAX_FILLS = 3
/** Blocks asked for at once where a manifest was incomplete. */
const FILL_CONCURRENCY = 16

/**
 * The manifest of a DAG whose blocks are in the batch, by a walk from its root; blocks that turn out to be missing are
 * fetched one by one. The entries are kept in about 40 bytes a block.
 * @throws as `replicate`
 */
export async function proveWhole(batch: BlockBatch, options: ProveOptions): Promise<Iterable<ManifestEntry>> {
  for (let fills = 0; ; fills++) {
    try {
      return await walkHeld(batch, options)
    } catch (error) {
      if (!hasCode(error, 'BLOCK_MISSING', 'CORRUPT_BLOCK') || fills === MAX_FILLS) throw error
      await fill(batch, options)
    }
  }
}

async function walkHeld(batch: BlockBatch, options: ProveOptions): Promise<Iterable<ManifestEntry>> {
  const { root, store, maxBytes, signal } = options
  // Asking the batch keeps a block from being collected until the root is committed.
  const sizeOf = (cid: CID): number | undefined => (batch.has(cid) ? store.sizeOf(cid) : undefined)
  const held: BlockSource = {
    get: async (cid, abortable) => (batch.has(cid) ? await batch.get(cid, abortable) : undefined),
  }
  const entries = new EntryLog()
  for await (const entry of walk(root, held, { sizeOf, maxBytes, signal })) entries.add(entry)
  return entries
}

async function fill(batch: BlockBatch, options: ProveOptions): Promise<void> {
  const { root, sources, client, maxBytes, signal } = options
  const others: BlockSource = { get: (cid, abortable) => fromAny(cid, sources, client, abortable ?? {}) }
  for await (const { cid, bytes } of fetchDag(root, others, batch, {
    maxBytes,
    signal,
    concurrency: FILL_CONCURRENCY,
  })) {
    await batch.put(cid, bytes)
  }
  await batch.flush()
}

async function fromAny(
  cid: CID,
  sources: readonly string[],
  client: Pick<TransferClient, 'block'>,
  { signal }: Abortable,
): Promise<Uint8Array | undefined> {
  for (const source of sources) {
    try {
      const bytes = await client.block(source, cid, signal === undefined ? {} : { signal })
      if (bytes !== undefined) return bytes
    } catch (error) {
      signal?.throwIfAborted()
      if (!hasCode(error)) throw error
    }
  }
  return undefined
}

const ENTRIES_PER_PART = 1_024

/** Manifest entries, encoded. */
class EntryLog implements Iterable<ManifestEntry> {
  readonly #parts: Buffer[] = []
  #recent: ManifestEntry[] = []

  add(entry: ManifestEntry): void {
    if (this.#recent.push(entry) < ENTRIES_PER_PART) return
    this.#parts.push(encodeEntries(this.#recent))
    this.#recent = []
  }

  *[Symbol.iterator](): Generator<ManifestEntry> {
    for (const part of this.#parts) yield* decodeEntries(part)
    yield* this.#recent
  }
}
