import type { CID } from 'multiformats/cid'
import type { BlockSource, ManifestEntry } from '../core/block-source.ts'
import { RAW } from '../core/cid.ts'
import { linksOf } from '../dag/links.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import { readBlock } from '../dag/read-block.ts'
import type { FolderDag } from './folder-dag.ts'

/** Blocks that are asked for at once. */
const LANES = 8

/**
 * The blocks of a folder that an earlier version does not have. Of the earlier one only nodes are read that the folder does
 * not have itself: what both have is the same all the way down.
 * @throws what the source throws
 */
export async function missingBlocks(
  dag: FolderDag,
  base: CID,
  source: BlockSource,
  signal: AbortSignal,
): Promise<Map<string, ManifestEntry>> {
  const known = await namedBy(base, dag, source, signal)
  const missing = new Map<string, ManifestEntry>()
  const pending = [dag.root]
  for (let cid = pending.pop(); cid !== undefined; cid = pending.pop()) {
    const key = multihashKey(cid)
    const entry = dag.entries.get(key)
    if (known.has(key) || missing.has(key) || entry === undefined) continue
    missing.set(key, entry)
    pending.push(...(dag.links.get(key) ?? []).toReversed())
  }
  return missing
}

/** The base, and all that its nodes link to which the folder does not have. */
async function namedBy(
  base: CID,
  { entries }: FolderDag,
  source: BlockSource,
  signal: AbortSignal,
): Promise<Set<string>> {
  const named = new Set<string>()
  let level = [base]
  while (level.length > 0) {
    const unknown = level.filter((cid) => {
      const key = multihashKey(cid)
      const isNew = !named.has(key)
      named.add(key)
      return isNew && cid.code !== RAW && !entries.has(key)
    })
    level = []
    while (unknown.length > 0) {
      const slice = unknown.splice(0, LANES)
      const blocks = await Promise.all(slice.map((cid) => readBlock(cid, source, { signal })))
      for (const [index, cid] of slice.entries()) level.push(...linksOf(cid, blocks[index] ?? new Uint8Array()))
    }
  }
  return named
}
