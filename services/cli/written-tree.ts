import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockSource } from '../core/block-source.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { listDirectory } from '../dag/list-directory.ts'
import { unixfsNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { readFile } from '../dag/read-file.ts'
import { CommandError, EXIT } from './exit-codes.ts'

/**
 * Writes a DAG of files and folders below a place, and nowhere else: names that could lead out of it are not listed, links
 * are not made, and nothing that is there already is opened.
 */
export class WrittenTree {
  readonly #source: BlockSource
  readonly #signal: AbortSignal
  readonly #onBytes: (bytes: number) => void
  /** What was not written, as paths below the root: links, and DAGs that are neither file nor folder. */
  readonly left: string[] = []
  bytes = 0
  files = 0

  constructor(source: BlockSource, signal: AbortSignal, onBytes: (bytes: number) => void) {
    this.#source = source
    this.#signal = signal
    this.#onBytes = onBytes
  }

  /** @throws CommandError when the root itself is neither file nor folder, or folders are nested too deep */
  async write(root: CID, target: string): Promise<void> {
    await this.#write(root, target, [])
    if (this.left.includes('')) {
      throw new CommandError(EXIT.failure, `${root.toString()} is a symbolic link or no file or folder.`)
    }
  }

  /** The bytes of a file. One block is asked for at a time, in the order in which a CAR has them. */
  async *content(cid: CID): AsyncGenerator<Uint8Array> {
    for await (const chunk of readFile(cid, this.#source, { signal: this.#signal, readahead: 1 })) {
      this.bytes += chunk.length
      this.#onBytes(this.bytes)
      yield chunk
    }
  }

  async #write(cid: CID, target: string, path: readonly string[]): Promise<void> {
    // No gateway answers a longer path; it also bounds this recursion.
    if (path.length > MAX_PATH_SEGMENTS) throw new CommandError(EXIT.failure, 'Its folders are nested too deep.')
    const node = unixfsNode(cid, await readBlock(cid, this.#source, { signal: this.#signal }))
    if (node.type === 'file') return await this.#writeFile(cid, target)
    if (node.type !== 'directory' && node.type !== 'hamt') return void this.left.push(path.join('/'))
    await mkdir(target)
    for await (const { cid: child, name } of listDirectory(cid, this.#source, { signal: this.#signal, readahead: 0 })) {
      await this.#write(child, join(target, name), [...path, name])
    }
  }

  async #writeFile(cid: CID, target: string): Promise<void> {
    await writeFile(target, this.content(cid), { flag: 'wx', signal: this.#signal })
    this.files += 1
  }
}
