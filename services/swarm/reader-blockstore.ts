import { BaseBlockstore } from 'blockstore-core'
import { NotFoundError } from 'interface-store'
import type { CID } from 'multiformats/cid'
import type { BlockReader } from '../blocks/contract.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'
import { MIB } from '../core/units.ts'
import { verify } from '../core/verify.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { Log } from './log.ts'

/** Fetched blocks that are kept for others that ask for them soon: a gateway's readers, mostly. */
const CACHE_BYTES = 32 * MIB

/**
 * The node's block store as Helia sees it: read only, so that nothing the network says can change what is stored.
 * What Helia puts is verified and goes to a small cache in memory.
 */
export class ReaderBlockstore extends BaseBlockstore {
  readonly #reader: BlockReader
  readonly #log: Log
  readonly #cache = new Map<string, Uint8Array>()
  #cachedBytes = 0

  constructor(reader: BlockReader, log: Log) {
    super()
    this.#reader = reader
    this.#log = log
  }

  override has(cid: CID): boolean {
    return this.#reader.has(cid) || this.#cache.has(multihashKey(cid))
  }

  /** @throws NotFoundError also when the disk gave back a corrupt block: bitswap then tells the peer that we lack it. */
  override async *get(cid: CID): AsyncGenerator<Uint8Array> {
    const bytes = (await this.#read(cid)) ?? this.#cache.get(multihashKey(cid))
    if (bytes === undefined) throw new NotFoundError()
    yield bytes
  }

  async #read(cid: CID): Promise<Uint8Array | undefined> {
    try {
      return await this.#reader.get(cid)
    } catch (err) {
      this.#log.error({ err, cid: cid.toString() }, 'a stored block cannot be read')
      return undefined
    }
  }

  /** @throws BLOCK_TOO_LARGE, HASH_MISMATCH */
  override async put(cid: CID, value: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<CID> {
    const bytes = value instanceof Uint8Array ? value : await joined(value)
    verify(cid, bytes)
    this.#remember(multihashKey(cid), bytes)
    return cid
  }

  #remember(key: string, bytes: Uint8Array): void {
    if (this.#cache.has(key)) return
    this.#cache.set(key, bytes)
    this.#cachedBytes += bytes.length
    for (const [oldest, dropped] of this.#cache) {
      if (this.#cachedBytes <= CACHE_BYTES) return
      this.#cache.delete(oldest)
      this.#cachedBytes -= dropped.length
    }
  }

  override delete(): Promise<void> {
    return Promise.reject(new HoldfastError('FORBIDDEN', 'The network side of a node opens its block store read-only.'))
  }
}

async function joined(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > MAX_BLOCK_BYTES) throw new HoldfastError('BLOCK_TOO_LARGE', 'A block may have at most 2 MiB.')
    parts.push(chunk)
  }
  return Buffer.concat(parts, length)
}
