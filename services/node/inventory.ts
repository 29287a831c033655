import { CID } from 'multiformats/cid'
import type { BlockReader } from '../blocks/contract.ts'
import { cidKey } from '../core/cid.ts'
import type { InventorySlice } from '../core/sync.ts'

const SLICE_ROOTS = 1_000

/** Tells the control plane, slice by slice, which roots this node holds. */
export class Inventory {
  readonly #store: Pick<BlockReader, 'roots'>
  /** The last root that was told; undefined at the start. */
  #after: string | undefined
  #wanted = false

  constructor(store: Pick<BlockReader, 'roots'>) {
    this.#store = store
  }

  /** The next slice is the first, unless the inventory is being told already. */
  begin(): void {
    if (this.#wanted) return
    this.#wanted = true
    this.#after = undefined
  }

  /** Another control plane may have heard the slices so far. */
  forget(): void {
    this.#wanted = false
  }

  /** The slice that is due; undefined when the inventory is told. */
  next(): InventorySlice | undefined {
    if (!this.#wanted) return undefined
    const roots: InventorySlice['roots'] = []
    let done = true
    for (const { cid, bytes, blocks } of this.#store.roots(
      this.#after === undefined ? undefined : CID.parse(this.#after),
    )) {
      if (roots.length === SLICE_ROOTS) {
        done = false
        break
      }
      roots.push({ root: cidKey(cid), bytes, blocks })
    }
    return { ...(this.#after === undefined ? {} : { after: this.#after }), roots, done }
  }

  /** The slice has arrived. */
  told(slice: InventorySlice): void {
    // It was begun anew meanwhile.
    if (slice.after !== this.#after) return
    this.#after = slice.roots.at(-1)?.root ?? this.#after
    if (slice.done) this.#wanted = false
  }
}
