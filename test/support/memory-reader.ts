import type { CID } from 'multiformats/cid'
import type { BlockReader, StoredRoot, StoreSpace } from '../../services/blocks/contract.ts'
import type { ManifestEntry } from '../../services/core/block-source.ts'
import { toV1 } from '../../services/core/cid.ts'
import { multihashKey } from '../../services/dag/multihash-key.ts'
import { walk } from '../../services/dag/walk.ts'
import { sectionHead } from '../../services/dag/write-car.ts'

/** A block store in memory that can be written to beside whoever reads it. */
export class MemoryReader implements BlockReader {
  readonly #blocks = new Map<string, Uint8Array>()
  readonly #roots = new Map<string, { root: StoredRoot; manifest: ManifestEntry[] }>()

  put(cid: CID, bytes: Uint8Array): void {
    this.#blocks.set(multihashKey(cid), bytes)
  }

  drop(cid: CID): void {
    this.#blocks.delete(multihashKey(cid))
  }

  get blockCount(): number {
    return this.#blocks.size
  }

  async commitRoot(root: CID): Promise<StoredRoot> {
    const manifest: ManifestEntry[] = []
    let bytes = 0
    for await (const entry of walk(root, this)) {
      manifest.push(entry)
      bytes += entry.length
    }
    const stored = { cid: toV1(root), blocks: manifest.length, bytes }
    this.#roots.set(multihashKey(root), { root: stored, manifest })
    return stored
  }

  releaseRoot(root: CID): void {
    this.#roots.delete(multihashKey(root))
  }

  has(cid: CID): boolean {
    return this.#blocks.has(multihashKey(cid))
  }

  sizeOf(cid: CID): number | undefined {
    return this.#blocks.get(multihashKey(cid))?.length
  }

  get(cid: CID): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#blocks.get(multihashKey(cid)))
  }

  root(cid: CID): StoredRoot | undefined {
    return this.#roots.get(multihashKey(cid))?.root
  }

  *roots(): Generator<StoredRoot> {
    for (const { root } of this.#roots.values()) yield root
  }

  manifest(root: CID, from?: number, to?: number): ManifestEntry[] {
    return this.#roots.get(multihashKey(root))?.manifest.slice(from, to) ?? []
  }

  async *sections(cids: Iterable<CID>): AsyncGenerator<Uint8Array> {
    for (const cid of cids) {
      const bytes = this.#blocks.get(multihashKey(cid)) ?? new Uint8Array(0)
      yield sectionHead({ cid, length: bytes.length })
      yield bytes
    }
  }

  space(): StoreSpace {
    return { capacityBytes: 0, freeBytes: 0, storedBytes: 0, blocks: this.blockCount, refusal: undefined }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
