import { constants } from 'node:os'
import { HoldfastError } from '../core/errors.ts'
import type { BlockIndex } from './block-index.ts'
import { systemCode } from './disk-errors.ts'

interface Write {
  rows: number
  action: () => unknown
  resolve: (result: unknown) => void
  reject: (error: unknown) => void
}

/** Rows that one transaction changes at most, so that it stalls the event loop for some 10 ms. */
export const ROWS_PER_WRITE = 1_024

/**
 * The only way to change the index: small synchronous actions, as many at once in a transaction as are waiting and
 * fit, one transaction at a time, each on disk before its actions resolve.
 */
export class IndexWriter {
  readonly #index: BlockIndex
  readonly #onFailure: (error: HoldfastError) => void
  readonly #queue: Write[] = []
  #running: Promise<void> | undefined
  #failed = false

  constructor(index: BlockIndex, onFailure: (error: HoldfastError) => void) {
    this.#index = index
    this.#onFailure = onFailure
  }

  /**
   * Runs `action`, which changes about `rows` rows, in a transaction; resolves with its result when that is on disk.
   * An action may throw only before its first change.
   * @throws STORAGE_FAILED when the transaction could not be committed; what the action threw
   */
  write<Result>(rows: number, action: () => Result): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#queue.push({ rows, action, resolve: resolve as (result: unknown) => void, reject })
      this.#running ??= this.#run()
    })
  }

  /** Opens the index anew if a commit failed, so that it takes writes again. */
  async recover(): Promise<void> {
    if (!this.#failed) return
    await this.#running
    await this.#index.reopen()
    this.#failed = false
  }

  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) await this.#commit(this.#take())
    this.#running = undefined
  }

  #take(): Write[] {
    let rows = 0
    const count = this.#queue.findIndex((write) => (rows += write.rows) > ROWS_PER_WRITE)
    return this.#queue.splice(0, count === -1 ? this.#queue.length : Math.max(1, count))
  }

  async #commit(writes: Write[]): Promise<void> {
    const settlements: (() => void)[] = []
    try {
      // After a failed commit LMDB may refuse further transactions in a way that blocks: it is opened anew first.
      if (this.#failed) throw new Error('an earlier write failed')
      await this.#index.transaction(() => {
        for (const write of writes) settlements.push(settlementOf(write))
      })
      this.#index.refresh()
    } catch (cause) {
      this.#failed = true
      const error = await commitFailure(cause)
      this.#onFailure(error)
      for (const { reject } of writes) reject(error)
      return
    }
    for (const settle of settlements) settle()
  }
}

function settlementOf({ action, resolve, reject }: Write): () => void {
  try {
    const result = action()
    return () => resolve(result)
  } catch (error) {
    return () => reject(error)
  }
}

/** lmdb tells the reason of a failed commit by a second promise, with the number of the system's error. */
async function commitFailure(cause: unknown): Promise<HoldfastError> {
  let reason: unknown = cause
  if (cause instanceof Error && 'commitError' in cause) {
    reason = await Promise.resolve(cause.commitError).catch((error: unknown) => error)
  }
  const full = reason instanceof Error && 'code' in reason && FULL.has(Number(reason.code))
  const shown = reason instanceof Error ? reason.message : systemCode(reason)
  return new HoldfastError(
    full ? 'STORAGE_FULL' : 'STORAGE_FAILED',
    `The index of the block store could not be written (${shown}).`,
    { cause },
  )
}

const FULL = new Set([constants.errno.ENOSPC, constants.errno.EDQUOT])
