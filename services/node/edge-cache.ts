import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import type { BlockReader, BlockStore, StoreOptions, StoredRoot } from '../blocks/contract.ts'
import { cidKey } from '../core/cid.ts'
import type { EdgeReads } from '../core/edge-reads.ts'
import { hasCode } from '../core/errors.ts'
import { FrequentKeys } from '../core/frequent-keys.ts'
import { MIB, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'
import type { TransferClient } from '../transfer/client.ts'
import { replicate } from '../transfer/replicate.ts'
import { LastUse } from './last-use.ts'

export interface EdgeCacheOptions {
  /** Of the node's state. */
  folder: string
  /** Bytes of the roots in it, at most. Its files take up to twice that until space is given back. */
  budgetBytes: number
  openStore: (folder: string, options: StoreOptions) => Promise<BlockStore>
  /** The node's own store: what that holds needs no copy here. */
  store: Pick<BlockReader, 'root'>
  client: TransferClient
  /** Names of the other nodes that are up. */
  nodes: () => readonly string[]
  log: Log
  /** @default 1 s */
  everyMs?: number
}

/** Roots that are counted at once. */
const COUNTED_ROOTS = 4_096
/** Reads count half after this time: what was popular an hour ago makes room. */
const HALF_LIFE_MS = 10 * MINUTE_MS
/** A root is not looked at before this much of it was read: asking for its size costs a call to each node. */
const WORTH_BYTES = MIB
/** No root takes more than this share of the budget. */
const LARGEST_SHARE = 1 / 2
/** Share of the disk that stays free for what is pinned. */
const FREE_SHARE = 1 / 10
/** A copy that takes longer is given up. */
const COPY_WITHIN_MS = 10 * MINUTE_MS
const ASK_WITHIN_MS = 2 * SECOND_MS
const SEGMENT_BYTES = 64 * MIB
const FOLDER = 'edge-cache'

/**
 * Whole copies of roots that other nodes hold and that readers ask this node for, within a budget. It takes a root when
 * more bytes of it were read lately than a copy costs: nothing that is read once, and at worst twice the needful is
 * fetched. For it, it gives up those least recently used, if they are read less. Its store is apart from the node's: nothing in it is
 * a copy in the sense of a policy, and nothing that is pinned is touched.
 */
export class EdgeCache implements AsyncDisposable {
  readonly store: BlockStore
  readonly #options: EdgeCacheOptions
  readonly #reads = new FrequentKeys(COUNTED_ROOTS)
  /** Of roots that were asked for. */
  readonly #sizes = new Map<string, number>()
  readonly #lastUse: LastUse
  readonly #spoiled = new Set<string>()
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #scaledAt = performance.now()

  private constructor(options: EdgeCacheOptions, store: BlockStore, lastUse: LastUse) {
    this.#options = options
    this.store = store
    this.#lastUse = lastUse
    const { everyMs = SECOND_MS, log } = options
    this.#running = loop('edge cache', (signal) => this.#pass(signal), { everyMs, log, signal: this.#stop.signal })
  }

  static async open(options: EdgeCacheOptions): Promise<EdgeCache> {
    const folder = join(options.folder, FOLDER)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const store = await options.openStore(edgeStoreFolder(options.folder), { segmentBytes: SEGMENT_BYTES })
    const lastUse = await LastUse.open(join(folder, 'last-use.json'))
    lastUse.keepOnly(Array.from(store.roots(), ({ cid }) => cidKey(cid)))
    return new EdgeCache(options, store, lastUse)
  }

  /** Takes what a gateway of this node has read. */
  heard({ roots, spoiled }: EdgeReads): void {
    for (const [root, bytes] of roots) {
      this.#reads.add(root, bytes)
      this.#lastUse.touch(root)
    }
    for (const cid of spoiled) this.#spoiled.add(cid)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
    await this.#lastUse.write().catch((error: unknown) => this.#options.log.debug({ err: error }, 'not written'))
    await this.store[Symbol.asyncDispose]()
  }

  /** Answers whether it did something, so that there may be more to do. */
  async #pass(signal: AbortSignal): Promise<boolean> {
    const now = performance.now()
    this.#reads.scale(0.5 ** ((now - this.#scaledAt) / HALF_LIFE_MS))
    this.#scaledAt = now
    await this.#dropUseless()
    for (const { key, weight } of this.#reads.heaviest()) {
      if (weight < WORTH_BYTES) break
      signal.throwIfAborted()
      if (await this.#consider(CID.parse(key), weight, signal)) return true
    }
    await this.#lastUse.write()
    return false
  }

  /** Releases what the disk has spoiled, what the node's store holds by now, and all there is while the disk is full. */
  async #dropUseless(): Promise<void> {
    const damaged = await this.#damagedRoots()
    const useless = [...this.store.roots()].filter(
      ({ cid }) => damaged.has(cidKey(cid)) || this.#options.store.root(cid) !== undefined,
    )
    await this.#release(useless)
    if (!this.#leavesRoomFor(0)) await this.#release(this.#oldestFirst().slice(0, 1))
  }

  async #damagedRoots(): Promise<Set<string>> {
    if (this.#spoiled.size === 0) return new Set()
    const spoiled = [...this.#spoiled]
    this.#spoiled.clear()
    // The store that writes finds out itself, and quarantines.
    for (const cid of spoiled) await this.store.get(CID.parse(cid)).catch(() => undefined)
    return new Set((await this.store.damagedRoots()).map((cid) => cidKey(cid)))
  }

  /** Takes the root when that pays, and answers whether it did. */
  async #consider(root: CID, weight: number, signal: AbortSignal): Promise<boolean> {
    if (this.store.root(root) !== undefined || this.#options.store.root(root) !== undefined) return false
    const key = cidKey(root)
    const size = this.#sizes.get(key)
    if (size !== undefined && (weight < size || this.#victimsFor(size, weight) === undefined)) return false
    const { sources, bytes } = await this.#askForRoot(root, signal)
    // Nobody holds it as a root, perhaps a part of one: looked at again when as much of it was read once more.
    if (sources.length === 0) return this.#lookAway(key)
    this.#remember(key, bytes)
    const victims = this.#victimsFor(bytes, weight)
    if (weight < bytes || victims === undefined) return false
    await this.#release(victims)
    return (await this.#copy(root, { sources, maxBytes: bytes, signal })) || this.#lookAway(key)
  }

  #lookAway(key: string): false {
    this.#reads.forget(key)
    return false
  }

  #remember(key: string, bytes: number): void {
    if (this.#sizes.size >= COUNTED_ROOTS) this.#sizes.clear()
    this.#sizes.set(key, bytes)
  }

  /** The nodes that hold the root, the nearest first, and its bytes as the nearest says. */
  async #askForRoot(root: CID, stop: AbortSignal): Promise<{ sources: string[]; bytes: number }> {
    const { client, nodes } = this.#options
    const signal = AbortSignal.any([stop, AbortSignal.timeout(ASK_WITHIN_MS)])
    const answers = await Promise.all(
      nodes().map(async (node) => {
        const page = await client.manifest(node, root, { to: 1, signal }).catch(() => undefined)
        return page === undefined ? [] : [{ node, bytes: page.bytes, rttMs: client.rttMs(node) ?? 0 }]
      }),
    )
    stop.throwIfAborted()
    const holders = answers.flat().toSorted((a, b) => a.rttMs - b.rttMs)
    return { sources: holders.map(({ node }) => node), bytes: holders[0]?.bytes ?? 0 }
  }

  /** What has to go for so many bytes; undefined when they have no place: too large, or what is here is read more. */
  #victimsFor(bytes: number, weight: number): StoredRoot[] | undefined {
    const { budgetBytes } = this.#options
    if (bytes > budgetBytes * LARGEST_SHARE || !this.#leavesRoomFor(bytes)) return undefined
    const kept = this.#oldestFirst()
    let over = bytes - budgetBytes + kept.reduce((sum, root) => sum + root.bytes, 0)
    const victims: StoredRoot[] = []
    for (const root of kept) {
      if (over <= 0) break
      if (this.#reads.of(cidKey(root.cid)) >= weight) return undefined
      victims.push(root)
      over -= root.bytes
    }
    return victims
  }

  async #copy(root: CID, copy: { sources: string[]; maxBytes: number; signal: AbortSignal }): Promise<boolean> {
    const { client, log } = this.#options
    const { store } = this
    const key = cidKey(root)
    const signal = AbortSignal.any([copy.signal, AbortSignal.timeout(COPY_WITHIN_MS)])
    this.#lastUse.add(key)
    try {
      const { blocks, bytes } = await replicate({ ...copy, root, store, client, signal })
      log.info({ root: key, blocks, bytes }, 'the edge cache took a root that is read much here')
      return true
    } catch (error) {
      this.#lastUse.remove(key)
      copy.signal.throwIfAborted()
      if (!hasCode(error) && !signal.aborted) throw error
      log.warn({ err: error, root: key }, 'the edge cache could not take a root')
      await store.collect({ graceMs: 0 })
      return false
    }
  }

  async #release(roots: readonly StoredRoot[]): Promise<void> {
    if (roots.length === 0) return
    for (const { cid } of roots) {
      await this.store.releaseRoot(cid)
      this.#lastUse.remove(cidKey(cid))
      // It has to be read anew before it may come back, or two that are read alike would take turns.
      this.#reads.forget(cidKey(cid))
    }
    await this.store.collect({ graceMs: 0 })
  }

  #oldestFirst(): StoredRoot[] {
    return this.#lastUse.oldestFirst().flatMap((key) => this.store.root(CID.parse(key)) ?? [])
  }

  #leavesRoomFor(bytes: number): boolean {
    const { capacityBytes, freeBytes, refusal } = this.store.space()
    return refusal === undefined && freeBytes - bytes > capacityBytes * FREE_SHARE
  }
}

/** The store of the cache in a node's folder, for gateways in processes of their own. */
export function edgeStoreFolder(folder: string): string {
  return join(folder, FOLDER, 'blocks')
}

/** Removes the cache from a node's folder. */
export async function removeEdgeCache(folder: string): Promise<void> {
  await rm(join(folder, FOLDER), { recursive: true, force: true })
}
