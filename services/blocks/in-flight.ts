import type { Age } from './age.ts'
import type { BlockIndex } from './block-index.ts'
import { ROWS_PER_WRITE, type IndexWriter } from './index-writer.ts'
import { textOf } from './key.ts'
import type { BlockRow } from './rows.ts'

/**
 * What open batches rely on, so that collection leaves it alone. A batch is safe by its opening time: blocks that were
 * written or touched since are not collected. An older uncounted block that a batch asks for is touched: at once in
 * memory, soon in the index. So the memory does not grow with the blocks of a batch.
 */
export class InFlight {
  readonly #parts: { index: BlockIndex; writer: IndexWriter; age: Age }
  readonly #batches = new Set<{ openedAtMs: number }>()
  readonly #touched = new Map<string, Uint8Array>()
  /** Removed by a transaction that has not been committed yet, so that reads still see them. */
  readonly #doomed = new Set<string>()
  #saving: Promise<void> | undefined

  constructor(parts: { index: BlockIndex; writer: IndexWriter; age: Age }) {
    this.#parts = parts
  }

  open(): { openedAtMs: number } & Disposable {
    const batch = { openedAtMs: this.#parts.age.nowMs(), [Symbol.dispose]: () => void this.#batches.delete(batch) }
    this.#batches.add(batch)
    return batch
  }

  /** Marks an uncounted block as needed by a batch of that opening time. */
  touch(key: Uint8Array, row: BlockRow, openedAtMs: number): void {
    if (row.refs > 0 || row.touchedMs >= openedAtMs) return
    this.#touched.set(textOf(key), new Uint8Array(key))
    // A failure is told by the writer itself; the touches stay in memory and are saved with the next.
    if (this.#touched.size >= ROWS_PER_WRITE && this.#saving === undefined) this.save().catch(() => undefined)
  }

  isDoomed(key: Uint8Array): boolean {
    return this.#doomed.size > 0 && this.#doomed.has(textOf(key))
  }

  /** Whether the block may be removed from the index now; asked within the transaction that does so. */
  mayRemove(key: Uint8Array, row: BlockRow, graceMs: number): boolean {
    if (row.refs > 0 || row.touchedMs > this.#parts.age.nowMs() - graceMs) return false
    if (this.#touched.size > 0 && this.#touched.has(textOf(key))) return false
    for (const { openedAtMs } of this.#batches) if (row.touchedMs >= openedAtMs) return false
    return true
  }

  /** Runs the removal of these blocks, and hides them from batches until it is committed. */
  async removing<Result>(remove: (doom: (key: Uint8Array) => void) => Promise<Result>): Promise<Result> {
    const doomed: string[] = []
    try {
      return await remove((key) => {
        const text = textOf(key)
        doomed.push(text)
        this.#doomed.add(text)
      })
    } finally {
      for (const text of doomed) this.#doomed.delete(text)
    }
  }

  /** Writes touches to the index, so that they outlive the process. */
  async save(): Promise<void> {
    while (this.#touched.size > 0) {
      this.#saving ??= this.#saveAll([...this.#touched]).finally(() => (this.#saving = undefined))
      await this.#saving
    }
  }

  async #saveAll(touched: [string, Uint8Array][]): Promise<void> {
    const { index, writer, age } = this.#parts
    for (let from = 0; from < touched.length; from += ROWS_PER_WRITE) {
      const slice = touched.slice(from, from + ROWS_PER_WRITE)
      await writer.write(slice.length, () => {
        const touchedMs = age.nowMs()
        for (const [, key] of slice) {
          const row = index.block(key)
          if (row !== undefined) index.putBlock(key, { ...row, touchedMs })
        }
        index.putState({ ...index.state(), ageMs: touchedMs })
      })
      for (const [text] of slice) this.#touched.delete(text)
    }
  }
}
