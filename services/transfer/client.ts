import type { CID } from 'multiformats/cid'
import type { Abortable, ManifestEntry } from '../core/block-source.ts'
import { cidKey } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES, MAX_CID_BYTES } from '../core/limits.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { KIB, SECOND_MS } from '../core/units.ts'
import { verify } from '../core/verify.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import { ConnectionPool } from './connection-pool.ts'
import type { ConnectionLimits } from './connection.ts'
import type { TransferDirectory } from './directory.ts'
import type { Exchange } from './exchange.ts'
import { readSection } from './read-section.ts'
import {
  decodeBits,
  decodeEntries,
  encodeCids,
  MANIFEST_PAGE_ENTRIES,
  MAX_ANSWER_BYTES,
  READ_PATH,
  SMALL_ROOT_BYTES,
} from './wire.ts'

/** What a node says a root consists of. Only a plan of what to fetch: nothing of it has been verified. */
export interface ManifestPage {
  /** Of the whole root. */
  blocks: number
  bytes: number
  entries: ManifestEntry[]
}

/** A small root as a node sent it: its blocks are verified one by one, not that they make a whole DAG. */
export interface SmallRoot {
  root: CID
  /** Undefined when the node does not hold the root, or it is not small. */
  blocks: Block[] | undefined
}

/**
 * Calls to other nodes, by the names of the directory. Every call fails with UPSTREAM_FAILED or TIMED_OUT when the node
 * does, and with NOT_FOUND when the directory does not know it; all are safe to repeat.
 */
export interface TransferClient extends Disposable {
  /** The block, verified; undefined when the node does not have it. @throws HASH_MISMATCH */
  block(node: string, cid: CID, options?: Abortable & { timeoutMs?: number }): Promise<Uint8Array | undefined>
  /** Which of at most {@link MAX_BLOCKS_PER_CALL} blocks the node has, in their order. */
  has(node: string, cids: readonly CID[], options?: Abortable): Promise<boolean[]>
  /**
   * The blocks, verified, in the order asked for, at most {@link MAX_BLOCKS_PER_CALL} of them; those that the node does
   * not have are left out, and what was not asked for ends the call. A block's bytes are a view that is good until the
   * next block is asked for.
   * @param options.isRead somebody reads them just now: they pass beside the limits for copies
   * @throws HASH_MISMATCH
   */
  blocks(node: string, cids: readonly CID[], options?: Abortable & { isRead?: boolean }): AsyncIterable<Block>
  /** A page of the root's manifest; undefined when the node does not hold it. */
  manifest(
    node: string,
    root: CID,
    options?: Abortable & { from?: number; to?: number },
  ): Promise<ManifestPage | undefined>
  /** Many small roots in one call, in their order, at most {@link MAX_ROOTS_PER_CALL}. @throws HASH_MISMATCH */
  roots(node: string, roots: readonly CID[], options?: Abortable): AsyncIterable<SmallRoot>
  /** Mean time in which the node answers small calls; undefined when it was never reached. */
  rttMs(node: string): number | undefined
}

export interface TransferClientOptions extends Partial<ConnectionLimits> {
  identity: NodeIdentity
  directory: TransferDirectory
}

const DEFAULT_LIMITS: ConnectionLimits = {
  connectMs: 5 * SECOND_MS,
  stallMs: 10 * SECOND_MS,
  minBytesPerSecond: 4 * KIB,
}

export function openTransferClient(options: TransferClientOptions): TransferClient {
  const { identity, directory } = options
  const pool = new ConnectionPool(identity, directory, { ...DEFAULT_LIMITS, ...options })

  async function block(
    node: string,
    cid: CID,
    { signal, timeoutMs }: Abortable & { timeoutMs?: number } = {},
  ): Promise<Uint8Array | undefined> {
    const limit = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs)
    const either = signal !== undefined && limit !== undefined ? AbortSignal.any([signal, limit]) : (signal ?? limit)
    try {
      using exchange = await pool.call(node, {
        method: 'GET',
        path: `/block/${cid.toString()}`,
        signal: either,
        isPrompt: true,
      })
      if (await isAbsent(exchange)) return undefined
      const bytes = await exchange.body(MAX_BLOCK_BYTES)
      verify(cid, bytes)
      return bytes
    } catch (error) {
      signal?.throwIfAborted()
      if (limit?.aborted !== true) throw error
      throw new HoldfastError('TIMED_OUT', `The node ${node} did not answer within ${timeoutMs} ms.`, { cause: error })
    }
  }

  async function has(node: string, cids: readonly CID[], { signal }: Abortable = {}): Promise<boolean[]> {
    const body = encodeCids(cids)
    using exchange = await pool.call(node, { method: 'POST', path: '/has', body, signal, isPrompt: true })
    await expectOk(exchange)
    return decodeBits(await exchange.body(Math.ceil(cids.length / 8)), cids.length)
  }

  async function* blocks(
    node: string,
    cids: readonly CID[],
    { signal, isRead = false }: Abortable & { isRead?: boolean } = {},
  ): AsyncGenerator<Block> {
    if (cids.length === 0) return
    const path = isRead ? READ_PATH : '/blocks'
    using exchange = await pool.call(node, { method: 'POST', path, body: encodeCids(cids), signal })
    await expectOk(exchange)
    let next = 0
    while (exchange.left > 0) {
      const block = await readSection(exchange)
      const key = multihashKey(block.cid)
      while (next < cids.length && multihashKey(cids[next] as CID) !== key) next += 1
      const cid = cids[next++]
      if (cid === undefined) throw new HoldfastError('UPSTREAM_FAILED', `The node ${node} sent what nobody asked for.`)
      // What arrived before the abort is still in the buffer, and is wanted no more.
      signal?.throwIfAborted()
      yield { cid, bytes: block.bytes }
    }
  }

  async function manifest(
    node: string,
    root: CID,
    { signal, from = 0, to = from + MANIFEST_PAGE_ENTRIES }: Abortable & { from?: number; to?: number } = {},
  ): Promise<ManifestPage | undefined> {
    const path = `/manifest/${cidKey(root)}?from=${from}&to=${to}`
    using exchange = await pool.call(node, { method: 'GET', path, signal, isPrompt: true })
    if (await isAbsent(exchange)) return undefined
    const blocks = Number(exchange.head.headers.get('x-blocks'))
    const bytes = Number(exchange.head.headers.get('x-bytes'))
    if (!Number.isSafeInteger(blocks) || !Number.isSafeInteger(bytes)) {
      throw new HoldfastError('UPSTREAM_FAILED', `The node ${node} sent a manifest without figures.`)
    }
    const entries = await exchange.body((to - from) * (MAX_CID_BYTES + MAX_LENGTH_BYTES))
    return { blocks, bytes, entries: [...decodeEntries(entries)] }
  }

  async function* roots(node: string, roots: readonly CID[], { signal }: Abortable = {}): AsyncGenerator<SmallRoot> {
    if (roots.length === 0) return
    using exchange = await pool.call(node, { method: 'POST', path: '/roots', body: encodeCids(roots), signal })
    await expectOk(exchange)
    if (exchange.left > MAX_ANSWER_BYTES) throw new HoldfastError('UPSTREAM_FAILED', `The node ${node} sends too much.`)
    // First the number of blocks of each root, in one byte, then the sections of all of them.
    const counts = Uint8Array.from(await exchange.take(roots.length))
    for (const [index, root] of roots.entries())
      yield { root, blocks: await readSmallRoot(exchange, counts[index] ?? 0) }
  }

  return {
    block,
    has,
    blocks,
    manifest,
    roots,
    rttMs: (node) => pool.rttMs(node),
    [Symbol.dispose]: () => pool[Symbol.dispose](),
  }
}

/** A block's length is at most 2 MiB: four bytes as a varint. */
const MAX_LENGTH_BYTES = 4

async function expectOk(exchange: Exchange): Promise<void> {
  if (exchange.head.status !== 200) throw await exchange.failure()
}

/** Whether the node answers that it does not have it. */
async function isAbsent(exchange: Exchange): Promise<boolean> {
  if (exchange.head.status === 404) {
    await exchange.failure()
    return true
  }
  await expectOk(exchange)
  return false
}

async function readSmallRoot(exchange: Exchange, count: number): Promise<Block[] | undefined> {
  const blocks: Block[] = []
  let bytes = 0
  while (blocks.length < count) {
    const block = await readSection(exchange, { keep: true })
    bytes += block.bytes.length
    if (bytes > SMALL_ROOT_BYTES) {
      throw new HoldfastError('UPSTREAM_FAILED', 'A node sent a small root that is not small.')
    }
    blocks.push(block)
  }
  return count === 0 ? undefined : blocks
}
