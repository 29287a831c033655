import type { CID } from 'multiformats/cid'
import type { BlockStore, StoredRoot } from '../blocks/contract.ts'
import type { ManifestEntry } from '../core/block-source.ts'
import { cidKey } from '../core/cid.ts'
import { hasCode } from '../core/errors.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import { walk } from '../dag/walk.ts'
import type { SmallRoot, TransferClient } from './client.ts'
import { MAX_ROOTS_PER_CALL } from './wire.ts'

export interface ReplicateSmallOptions {
  roots: readonly CID[]
  /** The node that holds them. */
  source: string
  store: BlockStore
  client: Pick<TransferClient, 'roots'>
  signal: AbortSignal
}

/** Roots committed at once: their transactions share one flush of the disk. */
const COMMIT_TOGETHER = 512

/**
 * Copies many small DAGs from one node in few calls, and commits each durably as soon as it is here. Answers those that
 * it could copy, by `cidKey`; a root that the node lacks, that is not small, or whose blocks are wrong is for `replicate`,
 * which tells why. A failing node ends it early, without an error.
 * @throws STORAGE_FULL, STORAGE_FAILED; the signal's reason
 */
export async function replicateSmall(options: ReplicateSmallOptions): Promise<Map<string, StoredRoot>> {
  const { store, signal } = options
  const copied = new Map<string, StoredRoot>()
  await using batch = store.openBatch()
  let whole: WholeRoot[] = []
  let committing = Promise.resolve()

  async function commit(group: readonly WholeRoot[]): Promise<void> {
    const stored = await Promise.all(group.map(({ root, entries }) => batch.commitRoot(root, entries)))
    for (const root of stored) copied.set(cidKey(root.cid), root)
  }

  try {
    for await (const { root, blocks } of smallRoots(options)) {
      const entries = blocks === undefined ? undefined : await wholeDag(root, blocks)
      if (blocks === undefined || entries === undefined) continue
      for (const { cid, bytes } of blocks) if (!batch.has(cid)) await batch.put(cid, bytes)
      if (whole.push({ root, entries }) < COMMIT_TOGETHER) continue
      // While one group is being committed the next one arrives.
      await committing
      committing = commit(whole)
      committing.catch(() => {})
      whole = []
    }
  } finally {
    await committing
  }
  signal.throwIfAborted()
  await commit(whole)
  return copied
}

interface WholeRoot {
  root: CID
  entries: ManifestEntry[]
}

async function* smallRoots({ roots, source, client, signal }: ReplicateSmallOptions): AsyncGenerator<SmallRoot> {
  for (let from = 0; from < roots.length; from += MAX_ROOTS_PER_CALL) {
    const some = roots.slice(from, from + MAX_ROOTS_PER_CALL)
    yield* unlessFailed(client.roots(source, some, { signal }), signal)
  }
}

/** The items up to a failure of the other node. */
async function* unlessFailed<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]()
  async function next(): Promise<IteratorResult<T>> {
    try {
      return await iterator.next()
    } catch (error) {
      signal.throwIfAborted()
      if (!hasCode(error)) throw error
      return { done: true, value: undefined }
    }
  }
  try {
    for (let item = await next(); item.done !== true; item = await next()) yield item.value
  } finally {
    await iterator.return?.()
  }
}

/** The manifest of the DAG that exactly these blocks make; undefined when they make none. */
async function wholeDag(root: CID, blocks: readonly Block[]): Promise<ManifestEntry[] | undefined> {
  const bytesOf = new Map(blocks.map(({ cid, bytes }) => [multihashKey(cid), bytes]))
  try {
    const entries = await Array.fromAsync(walk(root, { get: async (cid) => bytesOf.get(multihashKey(cid)) }))
    return entries.length === blocks.length ? entries : undefined
  } catch (error) {
    if (!hasCode(error)) throw error
    return undefined
  }
}
