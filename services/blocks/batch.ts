import type { CID } from 'multiformats/cid'
import type { Abortable, ManifestEntry } from '../core/block-source.ts'
import { isIdentity } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'
import { formatSize } from '../core/units.ts'
import type { Appender, Group } from './appender.ts'
import type { BlockIndex } from './block-index.ts'
import { locate } from './block-loader.ts'
import type { BlockBatch, StoredRoot } from './contract.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { InFlight } from './in-flight.ts'
import { keyOf } from './key.ts'
import type { BlockReads } from './reads.ts'
import type { Roots } from './roots.ts'

export interface BatchParts {
  index: BlockIndex
  reads: Pick<BlockReads, 'get'>
  appender: Appender
  inFlight: InFlight
  guard: DiskGuard
  roots: Roots
}

export class Batch implements BlockBatch {
  readonly #parts: BatchParts
  readonly #opened: ReturnType<InFlight['open']>
  /** Groups on their way that hold blocks this batch put or found. */
  readonly #groups = new Set<Group>()
  /** Why a block of this batch did not reach the disk: from then on the batch can vouch for nothing. */
  #failure: Error | undefined
  #closed = false

  constructor(parts: BatchParts) {
    this.#parts = parts
    this.#opened = parts.inFlight.open()
  }

  has(cid: CID): boolean {
    const { appender, inFlight, index } = this.#parts
    if (isIdentity(cid)) return true
    const key = keyOf(cid)
    const group = appender.groupOf(key)
    if (group !== undefined) {
      this.#relyOn(group)
      return true
    }
    const row = inFlight.isDoomed(key) ? undefined : locate(index, cid)
    if (row === undefined) return false
    inFlight.touch(key, row, this.#opened.openedAtMs)
    return true
  }

  async get(cid: CID, options?: Abortable): Promise<Uint8Array | undefined> {
    return (await this.#parts.appender.bytesOf(keyOf(cid))) ?? (await this.#parts.reads.get(cid, options))
  }

  async put(cid: CID, bytes: Uint8Array): Promise<void> {
    this.#assertUsable()
    this.#parts.guard.assertWritable()
    if (bytes.length > MAX_BLOCK_BYTES) {
      throw new HoldfastError('BLOCK_TOO_LARGE', `A block may have at most ${formatSize(MAX_BLOCK_BYTES)}.`)
    }
    if (this.has(cid)) return
    this.#relyOn(await this.#parts.appender.add(cid.bytes, keyOf(cid), bytes))
  }

  #relyOn(group: Group): void {
    if (this.#groups.has(group)) return
    this.#groups.add(group)
    group.done.then(
      () => this.#groups.delete(group),
      (error: Error) => {
        this.#failure ??= error
        this.#groups.delete(group)
      },
    )
  }

  async flush(): Promise<void> {
    this.#assertUsable()
    await Promise.all([...this.#groups].map((group) => this.#parts.appender.flush(group)))
    this.#assertUsable()
    await this.#parts.inFlight.save()
  }

  async commitRoot(root: CID, entries: Iterable<ManifestEntry> | AsyncIterable<ManifestEntry>): Promise<StoredRoot> {
    await this.flush()
    return await this.#parts.roots.commit(root, entries)
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closed) throw new HoldfastError('CONFLICT', 'The batch of blocks is closed.')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // What was put stays for the grace time, so it is written; a failure was told by put or flush, or matters to nobody.
    await Promise.allSettled([...this.#groups].map((group) => this.#parts.appender.flush(group)))
    await this.#parts.inFlight.save().catch(() => undefined)
    this.#opened[Symbol.dispose]()
  }
}
