import type { CID } from 'multiformats/cid'
import type { BlockSink, ManifestEntry } from '../core/block-source.ts'
import { addDirectory, type DirectoryItem } from '../dag/add-directory.ts'
import { linksOf } from '../dag/links.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import { carHeader, carSize, sectionHead } from '../dag/write-car.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { Body } from './http-exchange.ts'
import type { LocalFile, LocalFolder } from './list-folder.ts'
import { readLocalFile } from './read-local-file.ts'

/** The DAG that a folder becomes, without its bytes. Blocks are told apart by their multihash. */
export interface FolderDag {
  root: CID
  entries: ReadonlyMap<string, ManifestEntry>
  /** Of the blocks that have any. */
  links: ReadonlyMap<string, readonly CID[]>
}

/**
 * Reads each file once. Takes some hundred bytes of memory a block.
 * @param read the bytes of a file, for whoever wants to see them as well
 */
export async function dagOf(
  folder: LocalFolder,
  signal: AbortSignal,
  read: (file: LocalFile) => AsyncIterable<Uint8Array> = readLocalFile,
): Promise<FolderDag> {
  const links = new Map<string, readonly CID[]>()
  const sink = sinkTo((cid, bytes) => {
    const found = linksOf(cid, bytes)
    if (found.length > 0) links.set(multihashKey(cid), found)
  })
  const { root, manifest } = await addDirectory(itemsOf(folder, read), sink, { signal })
  const entries = new Map<string, ManifestEntry>()
  for (const entry of manifest) entries.set(multihashKey(entry.cid), entry)
  return { root, entries, links }
}

/**
 * A CAR of some blocks of a folder's DAG, which is made once more for it.
 * @throws (its chunks) CommandError when the files are not what they were
 */
export function carOf(
  folder: LocalFolder,
  root: CID,
  blocks: ReadonlyMap<string, ManifestEntry>,
  signal: AbortSignal,
): Body {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  async function make(): Promise<void> {
    const writer = writable.getWriter()
    const left = new Set(blocks.keys())
    const sink = sinkTo(async (cid, bytes) => {
      if (left.delete(multihashKey(cid))) {
        await writer.write(Buffer.concat([sectionHead({ cid, length: bytes.length }), bytes]))
      }
    })
    try {
      await writer.write(carHeader([root]))
      await addDirectory(itemsOf(folder, readLocalFile), sink, { signal })
      if (left.size > 0)
        throw new CommandError(EXIT.failure, 'The files changed while they were sent; nothing was stored.')
      await writer.close()
    } catch (error) {
      // Whoever reads gets it.
      await writer.abort(error).catch(() => undefined)
    }
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const making = make()
    try {
      yield* readable
    } finally {
      await making
    }
  }
  return { contentType: 'application/vnd.ipld.car', length: carSize([root], blocks.values()), chunks: chunks() }
}

function sinkTo(put: (cid: CID, bytes: Uint8Array) => void | Promise<void>): BlockSink {
  return {
    get: () => Promise.resolve(undefined),
    put: async (cid, bytes) => await put(cid, bytes),
    has: () => false,
  }
}

function* itemsOf(
  { files, emptyFolders }: LocalFolder,
  read: (file: LocalFile) => AsyncIterable<Uint8Array>,
): Generator<DirectoryItem> {
  for (const path of emptyFolders) yield { path }
  for (const file of files) yield { path: file.name, content: read(file) }
}
