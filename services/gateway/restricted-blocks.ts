import { hash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import type { BlockReader } from '../blocks/contract.ts'
import { isIdentity } from '../core/cid.ts'
import { DigestTable } from '../core/digest-table.ts'
import type { RulesInForce } from '../core/rules-in-force.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'
import type { TransferClient } from '../transfer/client.ts'

export interface RestrictedBlocksOptions {
  rules: RulesInForce
  store: Pick<BlockReader, 'root' | 'manifest' | 'countOf'>
  /** Asked for the manifest of a root that this node does not hold. */
  client: Pick<TransferClient, 'manifest'>
  /** Names of the nodes that are up, without this one. */
  nodes: () => readonly string[]
  log: Log
}

/** Blocks of all restricted roots that are remembered: 45 bytes each. Of roots beyond only the root itself is known. */
const MAX_BLOCKS = 4_000_000
const PAGE_ENTRIES = 5_000
const LOOK_EVERY_MS = 2 * SECOND_MS

/**
 * Which blocks belong to restricted roots, by the manifests of those who hold them, so that a child's own CID is no way
 * around the rules of its root. A block that roots without rules have as well is for everybody.
 */
export class RestrictedBlocks {
  readonly #options: RestrictedBlocksOptions
  #known = new Memberships()

  constructor(options: RestrictedBlocksOptions) {
    this.#options = options
  }

  /** Keeps up with the rules until aborted. */
  async follow(signal: AbortSignal): Promise<void> {
    await loop('restricted-blocks', () => this.refresh(signal), {
      everyMs: LOOK_EVERY_MS,
      log: this.#options.log,
      signal,
    })
  }

  /** Restricted roots whose rules a request for this CID has to meet; none for content that is for everybody. */
  rootsOf(cid: CID): readonly string[] {
    const { store, rules } = this.#options
    const roots = this.#known.of(cid).filter((root) => rules.restricted.grantorsOf(root) !== undefined)
    if (roots.length === 0 || store.root(cid) !== undefined) return []
    const heldHere = roots.filter((root) => store.root(CID.parse(root)) !== undefined).length
    return store.countOf(cid) > heldHere ? [] : roots
  }

  /** Reads the manifests of roots that became restricted; those of roots that ceased to be are let go. */
  async refresh(signal: AbortSignal): Promise<void> {
    const wanted = new Set(this.#options.rules.restricted.keys())
    const isSmaller = [...this.#known.roots].some((root) => !wanted.has(root))
    // What is known stays in use until the smaller table is filled.
    const next = isSmaller ? new Memberships() : this.#known
    for (const root of wanted) {
      if (next.roots.has(root) || next.isFull) continue
      signal.throwIfAborted()
      if (await this.#enter(root, next, signal)) next.roots.add(root)
    }
    this.#known = next
  }

  /** Answers whether somebody had the manifest. */
  async #enter(root: string, memberships: Memberships, signal: AbortSignal): Promise<boolean> {
    const { store, client, nodes, log } = this.#options
    const cid = CID.parse(root)
    if (store.root(cid) !== undefined) {
      let count = 0
      for (const entry of store.manifest(cid)) {
        memberships.add(entry.cid, root)
        // A million of them must not hold up everything else.
        if (++count % PAGE_ENTRIES === 0) await setImmediate()
      }
      return true
    }
    /** A page can be shorter than was asked for. */
    const readManifest = async (node: string): Promise<boolean> => {
      for (let from = 0; ;) {
        const page = await client.manifest(node, cid, { from, to: from + PAGE_ENTRIES, signal })
        if (page === undefined) return false
        for (const entry of page.entries) memberships.add(entry.cid, root)
        from += page.entries.length
        if (from >= page.blocks) return true
        if (page.entries.length === 0) return false
      }
    }
    for (const node of nodes()) {
      try {
        if (await readManifest(node)) return true
      } catch (error) {
        signal.throwIfAborted()
        log.debug({ err: error, node, root }, 'the manifest of a restricted root could not be had')
      }
    }
    return false
  }
}

/** Blocks and the roots that have them. */
class Memberships {
  /** Roots that are entered whole. */
  readonly roots = new Set<string>()
  /** Digest to index of `#sets`. */
  readonly #blocks = new DigestTable()
  /** Sets of roots, each kept once: most blocks are in one root. */
  readonly #sets: (readonly string[])[] = []
  readonly #indexOf = new Map<string, number>()

  get isFull(): boolean {
    return this.#blocks.size >= MAX_BLOCKS
  }

  of(cid: CID): readonly string[] {
    if (this.#blocks.size === 0) return []
    return this.#sets[this.#blocks.get(digestOf(cid)) ?? -1] ?? []
  }

  add(cid: CID, root: string): void {
    if (isIdentity(cid) || this.isFull) return
    const before = this.of(cid)
    if (before.includes(root)) return
    const roots = [...before, root].sort()
    const key = roots.join()
    let index = this.#indexOf.get(key)
    if (index === undefined) {
      index = this.#sets.push(roots) - 1
      this.#indexOf.set(key, index)
    }
    this.#blocks.set(digestOf(cid), index)
  }
}

/** 32 bytes for every multihash. */
function digestOf({ multihash: { bytes, digest } }: CID): Uint8Array {
  return digest.length === 32 ? digest : hash('sha256', bytes, 'buffer')
}
