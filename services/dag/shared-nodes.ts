import type { CID } from 'multiformats/cid'

interface Decoded<T extends object> {
  cid: CID
  node: WeakRef<T>
}

/**
 * What large blocks say, decoded once for all who read the same bytes: the links of a file of 1 GiB take twenty times the
 * memory of its block. Nothing is kept for its own sake: what nobody reads any more goes.
 */
export class SharedNodes<T extends object> {
  readonly #nodes = new WeakMap<Uint8Array, Decoded<T>>()

  /** Undefined when these bytes were not decoded, or held another block then. */
  find(cid: CID, bytes: Uint8Array): T | undefined {
    const decoded = this.#nodes.get(bytes)
    return decoded?.cid.equals(cid) === true ? decoded.node.deref() : undefined
  }

  /** @param node must not be changed from now on */
  share(cid: CID, bytes: Uint8Array, node: T): void {
    this.#nodes.set(bytes, { cid, node: new WeakRef(node) })
  }
}
