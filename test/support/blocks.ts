import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { BlockBatch, BlockStore, StoredRoot, StoreOptions } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { RAW, SHA2_256 } from '../../services/core/cid.ts'
import { seededBytes } from './random-bytes.ts'

export interface TestBlock {
  cid: CID
  bytes: Uint8Array
}

/** A raw block of `length` bytes that is the same for the same seed. */
export function testBlock(seed: number, length = 1_000): TestBlock {
  return blockOf(seededBytes(seed, length))
}

export function blockOf(bytes: Uint8Array): TestBlock {
  return { cid: CID.createV1(RAW, Digest.create(SHA2_256, hash('sha256', bytes, 'buffer'))), bytes }
}

/** Blocks of the seeds `from` up to `from + count`. */
export function testBlocks(count: number, options: { from?: number; length?: number } = {}): TestBlock[] {
  const { from = 0, length = 1_000 } = options
  return Array.from({ length: count }, (_, i) => testBlock(from + i, length))
}

/** A folder of its own under the system's temporary folder, deleted when it is disposed. */
export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-blocks-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** A store in a folder of its own; both end when it is disposed. */
export async function temporaryStore(
  options?: StoreOptions,
): Promise<{ store: BlockStore; folder: string } & AsyncDisposable> {
  const folder = await temporaryFolder()
  const store = await openBlockStore(folder.path, options)
  return {
    store,
    folder: folder.path,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

export async function putAll(batch: BlockBatch, blocks: readonly TestBlock[]): Promise<void> {
  for (const { cid, bytes } of blocks) await batch.put(cid, bytes)
}

/** Stores the blocks, and the first of them as a root that counts them all. */
export async function holdRoot(store: BlockStore, blocks: readonly TestBlock[]): Promise<StoredRoot> {
  const root = blocks[0]?.cid
  if (root === undefined) throw new Error('a root needs a block')
  await using batch = store.openBatch()
  await putAll(batch, blocks)
  return await batch.commitRoot(root, entriesOf(blocks))
}

export function entriesOf(blocks: readonly TestBlock[]): { cid: CID; length: number }[] {
  return blocks.map(({ cid, bytes }) => ({ cid, length: bytes.length }))
}

export function assertSame(actual: Uint8Array | undefined, expected: Uint8Array): void {
  assert.ok(actual !== undefined && Buffer.compare(actual, expected) === 0, 'the bytes differ')
}
