import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { MIB, SECOND_MS } from '../core/units.ts'
import { ActiveSegment } from './active-segment.ts'
import { Age } from './age.ts'
import { Appender, type AppenderOptions } from './appender.ts'
import { Batch } from './batch.ts'
import { BlockIndex } from './block-index.ts'
import { reclaimSegments, removeUncounted } from './collect.ts'
import type { BlockBatch, BlockStore, RootCheck, StoreOptions } from './contract.ts'
import { writeFailure } from './disk-errors.ts'
import { damagedRoots } from './damaged-roots.ts'
import { DiskGuard } from './disk-guard.ts'
import { enterBlocks } from './enter-blocks.ts'
import { syncFolder } from './file-io.ts'
import { InFlight } from './in-flight.ts'
import { IndexWriter } from './index-writer.ts'
import { indexFolder, segmentFolder } from './layout.ts'
import { quarantine } from './quarantine.ts'
import { BlockReads } from './reads.ts'
import { recover } from './recover.ts'
import { Roots } from './roots.ts'
import type { BlockRow } from './rows.ts'
import { SegmentFiles } from './segment-files.ts'
import { verifyRoot } from './verify-root.ts'
import { lockForWriting } from './writer-lock.ts'

const SEGMENT_BYTES = 512 * MIB

/** All parts of an open store. */
interface Parts {
  folder: string
  index: BlockIndex
  writer: IndexWriter
  age: Age
  inFlight: InFlight
  segments: SegmentFiles
  active: ActiveSegment
  appender: Appender
  guard: DiskGuard
  roots: Roots
  lock: Disposable
  onCorrupt: (cid: CID, row: BlockRow) => Promise<void>
}

class Store extends BlockReads implements BlockStore {
  readonly #parts: Parts
  readonly #closing = new AbortController()
  readonly #background: Promise<void>
  #collecting: Promise<unknown> = Promise.resolve()

  constructor(parts: Parts) {
    super({ ...parts, refusal: () => parts.guard.refusal })
    this.#parts = parts
    // Counts of commits and releases that a crash interrupted are too high until this ends, which harms nobody.
    this.#background = parts.roots.resume({ signal: this.#closing.signal }).catch(() => undefined)
  }

  openBatch(): BlockBatch {
    this.#parts.guard.assertRoomForBatch()
    return new Batch({ ...this.#parts, reads: this })
  }

  releaseRoot(root: CID): Promise<boolean> {
    return this.#parts.roots.release(root)
  }

  verifyRoot(
    root: CID,
    options: Abortable & { onProgress?: (bytes: number) => void } = {},
  ): Promise<RootCheck | undefined> {
    return verifyRoot({ ...this.#parts, reads: this }, root, options)
  }

  damagedRoots(options: Abortable = {}): Promise<CID[]> {
    const signal = AbortSignal.any([this.#closing.signal, ...(options.signal === undefined ? [] : [options.signal])])
    return damagedRoots(this.#parts.index, { signal })
  }

  async collect(options: Abortable & { graceMs: number }): Promise<{ blocks: number; bytes: number }> {
    const run = this.#collecting.then(() => this.#collect(options))
    this.#collecting = run.catch(() => undefined)
    return await run
  }

  async #collect(options: Abortable & { graceMs: number }): Promise<{ blocks: number; bytes: number }> {
    const signal = AbortSignal.any([this.#closing.signal, ...(options.signal === undefined ? [] : [options.signal])])
    await this.#parts.roots.resume({ signal })
    const removed = await removeUncounted(this.#parts, { ...options, signal })
    await reclaimSegments(this.#parts, { signal })
    return removed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(new HoldfastError('UNAVAILABLE', 'The block store is closed.'))
    const { appender, active, guard, index, writer, age, segments, lock } = this.#parts
    await this.#background
    await this.#collecting
    await appender.settle()
    await guard.close()
    // What was put in between is refused.
    await appender.settle()
    await writer.write(1, () => index.putState({ ...index.state(), ageMs: age.nowMs() })).catch(() => undefined)
    await writer.settle()
    await active.close()
    segments.close()
    await index.close()
    lock[Symbol.dispose]()
  }
}

/**
 * Opens the store in the folder, made if need be, as its only writer. Whatever was acknowledged before is there, also
 * after `kill -9` or a power loss.
 * @throws CONFLICT when another process, or this one, has it open for writing
 * @throws STORAGE_FULL, STORAGE_FAILED when the disk cannot be written
 */
export async function openBlockStore(folder: string, options: StoreOptions = {}): Promise<BlockStore> {
  await using opened = new AsyncDisposableStack()
  try {
    await makeFolders(folder)
    const lock = opened.use(lockForWriting(folder))
    const index = new BlockIndex(folder, { readOnly: false })
    opened.defer(() => index.close())
    const store = new Store({ ...(await assemble(folder, index, options)), lock })
    opened.move()
    return store
  } catch (error) {
    throw error instanceof Error && 'code' in error ? writeFailure(error) : error
  }
}

async function makeFolders(folder: string): Promise<void> {
  await mkdir(segmentFolder(folder), { recursive: true })
  await mkdir(indexFolder(folder), { recursive: true })
  await syncFolder(folder)
  await syncFolder(dirname(folder))
}

async function assemble(folder: string, index: BlockIndex, options: StoreOptions): Promise<Omit<Parts, 'lock'>> {
  const guard: DiskGuard = new DiskGuard({
    folder,
    reserveBytes: options.reserveBytes,
    probeMs: options.probeMs ?? SECOND_MS,
    recover: () => writer.recover(),
  })
  const writer: IndexWriter = new IndexWriter(index, (error) => guard.refuse(error))
  const age = new Age(index.state().ageMs)
  const segments = new SegmentFiles(folder)
  const entering = { index, writer, age }
  const last = await recover({ ...entering, folder, segments })
  const active = new ActiveSegment(folder, options.segmentBytes ?? SEGMENT_BYTES, last)
  const enter: AppenderOptions['enter'] = (blocks, cursor) => enterBlocks(entering, blocks, cursor)
  const appender = new Appender({ active, guard, segments, enter })
  const onCorrupt = async (cid: CID, row: BlockRow): Promise<void> => {
    // While the index cannot be written the block stays; it is refused again by the next read.
    const quarantined = await quarantine(entering, cid, row).catch(() => false)
    if (quarantined) options.onQuarantine?.(cid)
  }
  return {
    ...entering,
    folder,
    inFlight: new InFlight(entering),
    segments,
    active,
    appender,
    guard,
    roots: new Roots(entering),
    onCorrupt,
  }
}
