import type { ManifestEntry } from '../core/block-source.ts'
import type { BlockIndex } from './block-index.ts'
import { ROWS_PER_WRITE } from './index-writer.ts'

/** Entries of a chunk: a chunk is counted by one transaction. All chunks of a manifest but the last are full. */
export const CHUNK_ENTRIES = ROWS_PER_WRITE

/** Entries [from, to) of a manifest; ends early when it is released meanwhile. */
export function* readManifest(index: BlockIndex, serial: number, from: number, to: number): Generator<ManifestEntry> {
  let at = Math.max(0, from)
  while (at < to) {
    const chunk = Math.floor(at / CHUNK_ENTRIES)
    const entries = index.chunk(serial, chunk)
    if (entries === undefined) return
    const first = chunk * CHUNK_ENTRIES
    yield* entries.slice(at - first, to - first)
    at = first + CHUNK_ENTRIES
  }
}

/** Adds entries behind the first `position` of a manifest; part of an index action. */
export function appendEntries(
  index: BlockIndex,
  serial: number,
  position: number,
  entries: readonly ManifestEntry[],
): void {
  const firstChunk = Math.floor(position / CHUNK_ENTRIES)
  const begun = position % CHUNK_ENTRIES === 0 ? [] : (index.chunk(serial, firstChunk) ?? [])
  const all = [...begun, ...entries]
  for (let at = 0, chunk = firstChunk; at < all.length; at += CHUNK_ENTRIES, chunk += 1) {
    index.putChunk(serial, chunk, all.slice(at, at + CHUNK_ENTRIES))
  }
}
