import { hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import * as dagPb from '@ipld/dag-pb'
import type { PBLink } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { Abortable, BlockSink } from '../../services/core/block-source.ts'
import { DAG_PB, RAW, SHA2_256 } from '../../services/core/cid.ts'
import { hasCode, type ErrorCode } from '../../services/core/errors.ts'
import type { Block } from '../../services/dag/fetch-dag.ts'
import { multihashKey } from '../../services/dag/multihash-key.ts'
import { readCar } from '../../services/dag/read-car.ts'

/** Blocks in memory, which counts how often each is read. */
export class MemoryBlocks implements BlockSink {
  readonly #blocks = new Map<string, Block>()
  /** CIDs that were asked for, in order. */
  reads: CID[] = []

  get(cid: CID, options?: Abortable): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted()
    this.reads.push(cid)
    return Promise.resolve(this.#blocks.get(multihashKey(cid))?.bytes)
  }

  put(cid: CID, bytes: Uint8Array): Promise<void> {
    this.#blocks.set(multihashKey(cid), { cid, bytes: Uint8Array.from(bytes) })
    return Promise.resolve()
  }

  has(cid: CID): boolean {
    return this.#blocks.has(multihashKey(cid))
  }

  delete(cid: CID): void {
    this.#blocks.delete(multihashKey(cid))
  }

  sizeOf(cid: CID): number | undefined {
    return this.#blocks.get(multihashKey(cid))?.bytes.length
  }

  blocks(): Block[] {
    return [...this.#blocks.values()]
  }

  /** Adds a block under the CID that its bytes have. */
  add(codec: number, bytes: Uint8Array): CID {
    const cid = cidOf(codec, bytes)
    this.#blocks.set(multihashKey(cid), { cid, bytes: Uint8Array.from(bytes) })
    return cid
  }

  addRaw(bytes: Uint8Array): CID {
    return this.add(RAW, bytes)
  }

  /** Adds a DAG-PB block with these Data bytes; links in the order given (encoders would sort them). */
  addPb(data: Uint8Array | undefined, links: PBLink[] = []): CID {
    return this.add(DAG_PB, encodePb(data, links))
  }

  /** Adds a file node over children that stand for `childSizes` bytes each. */
  addFileNode(children: CID[], childSizes: number[]): CID {
    const data = new UnixFS({ type: 'file', blockSizes: childSizes.map(BigInt) }).marshal()
    return this.addPb(
      data,
      children.map((Hash, index) => ({ Name: '', Tsize: childSizes[index] ?? 0, Hash })),
    )
  }

  addDirectory(entries: [name: string, cid: CID][]): CID {
    const data = new UnixFS({ type: 'directory' }).marshal()
    return this.addPb(
      data,
      entries.map(([Name, Hash]) => ({ Name, Tsize: 1, Hash })),
    )
  }
}

export function cidOf(codec: number, bytes: Uint8Array): CID {
  return CID.createV1(codec, createDigest(SHA2_256, new Uint8Array(hash('sha256', bytes, 'buffer'))))
}

/** DAG-PB written by hand, so that tests can also write what an encoder refuses. */
export function encodePb(data: Uint8Array | undefined, links: PBLink[]): Uint8Array {
  const parts = links.map((link) => field(2, encodePbLink(link)))
  if (data !== undefined) parts.push(field(1, data))
  return new Uint8Array(Buffer.concat(parts))
}

function encodePbLink(link: PBLink): Uint8Array {
  const encoded = dagPb.encode({ Links: [link] })
  return encoded.subarray(encoded.length > 129 ? 3 : 2)
}

/** A protobuf field with bytes. */
export function field(number: number, bytes: Uint8Array): Uint8Array {
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7]
  if (bytes.length >= 1 << 14) throw new RangeError('longer than this helper writes')
  return new Uint8Array([(number << 3) | 2, ...length, ...bytes])
}

/** Bytes from a fixed generator (mulberry32), the one that the CIDs in `test/fixtures/unixfs-cids.json` were made over. */
export function pseudoRandomBytes(seed: number, length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = seed >>> 0
  for (let index = 0; index < words.length; index++) {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    words[index] = mixed ^ (mixed >>> 14)
  }
  return new Uint8Array(words.buffer, 0, length)
}

/** The bytes as a stream, cut into chunks. */
export async function* chunked(bytes: Uint8Array, chunkBytes = 65_536): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    yield await Promise.resolve(bytes.subarray(offset, offset + chunkBytes))
  }
}

export async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(Buffer.concat(await Array.fromAsync(chunks)))
}

/** A chain of file nodes with one link each over a small leaf. Answers its top. */
export function addChain(blocks: MemoryBlocks, length: number): CID {
  let top = blocks.addRaw(new Uint8Array([1]))
  for (let count = 0; count < length; count++) top = blocks.addFileNode([top], [1])
  return top
}

/** Eight levels of nodes that each link 64 times to the one below: 9 blocks that stand for 64^8 bytes. */
export function addBomb(blocks: MemoryBlocks): CID {
  let top = blocks.addRaw(new Uint8Array([1]))
  for (let level = 0; level < 8; level++) {
    const links = Array.from({ length: 64 }, () => top)
    top = blocks.addFileNode(
      links,
      links.map(() => 64 ** level),
    )
  }
  return top
}

/** A CAR file from `test/fixtures/dag`, read into memory. */
export async function loadCar(name: string): Promise<{ root: CID; blocks: MemoryBlocks }> {
  const blocks = new MemoryBlocks()
  const car = await readCar(createReadStream(new URL(`../fixtures/dag/${name}`, import.meta.url)))
  for await (const { cid, bytes } of car.blocks) await blocks.put(cid, bytes)
  return { root: car.roots[0] as CID, blocks }
}

/** An expected failure with this code, for `assert.rejects` and `assert.throws`. */
export function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => hasCode(error, code)
}
