import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { cidKey, DAG_PB } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { listDirectory } from '../dag/list-directory.ts'
import { resolve } from '../dag/resolve.ts'

/** Lookups in one directory until it is listed: most collections are one or two directories of thousands of files. */
const LOOKUPS_UNTIL_LISTED = 8
/** Names of one directory that are remembered, and directories. Larger ones are looked up name by name. */
const MOST_NAMES = 250_000
const MOST_DIRECTORIES = 4

interface Directory {
  lookups: number
  /** Undefined until it is listed. */
  names: Promise<Map<string, CID>> | undefined
}

/** Follows paths, of which many lead through the same directories. */
export class Paths {
  readonly #directories = new Map<string, Directory>()

  /** What a path leads to. @throws as {@link resolve}; NOT_FOUND also when it leads into a block */
  async find(root: CID, segments: readonly string[], source: BlockSource, options: Abortable = {}): Promise<CID> {
    if (root.code !== DAG_PB) return await whole(root, segments, source, options)
    let at = root
    for (const [index, segment] of segments.entries()) {
      if (at.code !== DAG_PB) return await whole(at, segments.slice(index), source, options)
      at = await this.#step(at, segment, source, options)
    }
    return at
  }

  async #step(parent: CID, name: string, source: BlockSource, options: Abortable): Promise<CID> {
    const directory = this.#directoryOf(cidKey(parent))
    directory.lookups += 1
    if (directory.lookups > LOOKUPS_UNTIL_LISTED) directory.names ??= namesIn(parent, source, options)
    const known = (await directory.names)?.get(name)
    return known ?? (await whole(parent, [name], source, options))
  }

  /** The most recently used directories are kept. */
  #directoryOf(key: string): Directory {
    const directory = this.#directories.get(key) ?? { lookups: 0, names: undefined }
    this.#directories.delete(key)
    this.#directories.set(key, directory)
    if (this.#directories.size > MOST_DIRECTORIES) this.#directories.delete(this.#directories.keys().next().value ?? '')
    return directory
  }
}

async function whole(root: CID, segments: readonly string[], source: BlockSource, options: Abortable): Promise<CID> {
  const { cid, remainder } = await resolve(root, segments, source, options)
  if (remainder.length === 0) return cid
  throw new HoldfastError('NOT_FOUND', `The path leads into the block ${cidKey(cid)}.`)
}

/** What can be listed of a directory: the rest, and what is no directory, is looked up by name. */
async function namesIn(cid: CID, source: BlockSource, options: Abortable): Promise<Map<string, CID>> {
  const names = new Map<string, CID>()
  try {
    for await (const entry of listDirectory(cid, source, options)) {
      if (!names.has(entry.name)) names.set(entry.name, entry.cid)
      if (names.size >= MOST_NAMES) break
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!(error instanceof HoldfastError)) throw error
  }
  return names
}
