import { statfsSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { HoldfastError } from '../core/errors.ts'
import { formatSize, GIB, KIB } from '../core/units.ts'
import { repeatFailure, writeFailure } from './disk-errors.ts'
import { probeFile } from './layout.ts'

export function diskSpace(folder: string): { capacityBytes: number; freeBytes: number } {
  const { bsize, blocks, bavail } = statfsSync(folder)
  return { capacityBytes: blocks * bsize, freeBytes: bavail * bsize }
}

interface GuardOptions {
  folder: string
  /** Free space below which no batch is opened. */
  reserveBytes: number | undefined
  probeMs: number
  /** What else must work again before writes are taken. */
  recover: () => Promise<void>
}

/**
 * Decides whether writes are taken. After a failure, or when space is short, they are refused; the disk is then tried
 * every now and then until a small durable write succeeds and there is room.
 */
export class DiskGuard {
  readonly #options: GuardOptions
  readonly #reserveBytes: number
  #refusal: HoldfastError | undefined
  #timer: NodeJS.Timeout | undefined
  #probing: Promise<void> | undefined
  #closed = false

  constructor(options: GuardOptions) {
    this.#options = options
    this.#reserveBytes =
      options.reserveBytes ?? Math.min(GIB, Math.floor(diskSpace(options.folder).capacityBytes * 0.02))
  }

  get refusal(): string | undefined {
    return this.#refusal?.message
  }

  /** From now on writes are refused with this failure, until the disk works again. */
  refuse(cause: unknown): HoldfastError {
    const failure = writeFailure(cause)
    this.#refusal ??= failure
    if (!this.#closed) this.#timer ??= setInterval(() => this.#probe(), this.#options.probeMs).unref()
    return failure
  }

  /** @throws STORAGE_FULL, STORAGE_FAILED while writes are refused */
  assertWritable(): void {
    if (this.#refusal !== undefined) throw repeatFailure(this.#refusal)
  }

  /** @throws STORAGE_FULL, STORAGE_FAILED while writes are refused, or when the disk is down to the reserve */
  assertRoomForBatch(): void {
    this.assertWritable()
    this.#assertFree(this.#reserveBytes)
  }

  /** Half of the reserve is kept for the index and for collection, which must work to make room. */
  assertRoomFor(bytes: number): void {
    this.assertWritable()
    this.#assertFree(bytes + this.#reserveBytes / 2)
  }

  #assertFree(bytes: number): void {
    const { freeBytes } = diskSpace(this.#options.folder)
    if (freeBytes >= bytes) return
    throw this.refuse(
      new HoldfastError('STORAGE_FULL', `The disk of the block store is full: only ${formatSize(freeBytes)} are left.`),
    )
  }

  #probe(): void {
    this.#probing ??= this.#tryDisk().finally(() => (this.#probing = undefined))
  }

  async #tryDisk(): Promise<void> {
    const { folder, recover } = this.#options
    try {
      if (diskSpace(folder).freeBytes < this.#reserveBytes) return
      await writeProbe(probeFile(folder))
      await recover()
    } catch {
      return
    }
    if (this.#closed) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#refusal = undefined
  }

  /** Refuses all writes from now on. */
  async close(): Promise<void> {
    this.#closed = true
    this.#refusal = new HoldfastError('UNAVAILABLE', 'The block store is closed.')
    clearInterval(this.#timer)
    await this.#probing
  }
}

async function writeProbe(path: string): Promise<void> {
  try {
    await using file = await open(path, 'w')
    await file.write(Buffer.alloc(64 * KIB))
    await file.datasync()
  } finally {
    await rm(path, { force: true })
  }
}
