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
  /** Digest to index of `#memberships`. */
  #blocks = new DigestTable()
  /** Sets of roots, each kept once: most blocks are in one. */
  #memberships: (readonly string[])[] = []
  readonly #indexOf = new Map<string, number>()
  /** Roots whose blocks are in the table. */
  readonly #read = new Set<string>()

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
    if (this.#blocks.size === 0) return []
    const { store, rules } = this.#options
    const membership = this.#memberships[this.#blocks.get(digestOf(cid)) ?? -1] ?? []
    const roots = membership.filter((root) => rules.restricted.grantorsOf(root) !== undefined)
    if (roots.length === 0 || store.root(cid) !== undefined) return []
    const heldHere = roots.filter((root) => store.root(CID.parse(root)) !== undefined).length
    return store.countOf(cid) > heldHere ? [] : roots
  }

  /** Reads the manifests of roots that became restricted, and begins anew when roots ceased to be. */
  async refresh(signal: AbortSignal): Promise<void> {
    const wanted = new Set(this.#options.rules.restricted.keys())
    if ([...this.#read].some((root) => !wanted.has(root))) this.#forget()
    for (const root of wanted) {
      if (this.#read.has(root) || this.#blocks.size >= MAX_BLOCKS) continue
      signal.throwIfAborted()
      if (await this.#enter(root, signal)) this.#read.add(root)
    }
  }

  #forget(): void {
    this.#blocks = new DigestTable()
    this.#memberships = []
    this.#indexOf.clear()
    this.#read.clear()
  }

  /** Answers whether somebody had the manifest. */
  async #enter(root: string, signal: AbortSignal): Promise<boolean> {
    const { store, client, nodes, log } = this.#options
    const cid = CID.parse(root)
    const held = store.root(cid)
    if (held !== undefined) {
      let count = 0
      for (const entry of store.manifest(cid)) {
        this.#add(entry.cid, root)
        // A million of them must not hold up everything else.
        if (++count % PAGE_ENTRIES === 0) await setImmediate()
      }
      return true
    }
    for (const node of nodes()) {
      try {
        for (let from = 0; ; from += PAGE_ENTRIES) {
          const page = await client.manifest(node, cid, { from, to: from + PAGE_ENTRIES, signal })
          if (page === undefined) break
          for (const entry of page.entries) this.#add(entry.cid, root)
          if (from + page.entries.length >= page.blocks) return true
          if (page.entries.length === 0) break
        }
      } catch (error) {
        signal.throwIfAborted()
        log.debug({ err: error, node, root }, 'the manifest of a restricted root could not be had')
      }
    }
    return false
  }

  #add(cid: CID, root: string): void {
    if (isIdentity(cid) || this.#blocks.size >= MAX_BLOCKS) return
    const digest = digestOf(cid)
    const before = this.#memberships[this.#blocks.get(digest) ?? -1] ?? []
    if (before.includes(root)) return
    const roots = [...before, root].sort()
    const key = roots.join()
    let index = this.#indexOf.get(key)
    if (index === undefined) {
      index = this.#memberships.push(roots) - 1
      this.#indexOf.set(key, index)
    }
    this.#blocks.set(digest, index)
  }
}

/** 32 bytes for every multihash. */
function digestOf({ multihash: { bytes, digest } }: CID): Uint8Array {
  return digest.length === 32 ? digest : hash('sha256', bytes, 'buffer')
}
