import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockStore, StoredRoot } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { walk } from '../../services/dag/walk.ts'
import { blockOf } from './blocks.ts'

export interface NewBlock {
  cid: CID
  bytes: Uint8Array
}

/** A block store in a temporary folder, which goes with it. */
export interface TestStore extends AsyncDisposable {
  readonly folder: string
  readonly blocks: BlockStore
  /** Stores the blocks durably, and answers how many came. */
  put(blocks: Iterable<NewBlock> | AsyncIterable<NewBlock>): Promise<number>
  /** Pins a DAG whose blocks are stored. */
  commitRoot(root: CID): Promise<StoredRoot>
}

export async function openTestStore(): Promise<TestStore> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-swarm-'))
  const blocks = await openBlockStore(folder)
  return {
    folder,
    blocks,
    async put(source) {
      await using batch = blocks.openBatch()
      let count = 0
      try {
        for await (const { cid, bytes } of source) {
          await batch.put(cid, bytes)
          count += 1
        }
      } finally {
        await batch.flush()
      }
      return count
    },
    async commitRoot(root) {
      await using batch = blocks.openBatch()
      return await batch.commitRoot(root, walk(root, blocks))
    },
    async [Symbol.asyncDispose]() {
      await blocks[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The CID of a raw block that says `content`. */
export function rawCid(content: string | Uint8Array): CID {
  return blockOf(Buffer.from(content)).cid
}
