import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BlockReader, GetOptions } from '../../services/blocks/contract.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { UsedBuffers } from '../../services/core/used-buffers.ts'
import { multihashKey } from '../../services/dag/multihash-key.ts'
import { SharedReads } from '../../services/gateway/shared-reads.ts'
import { MemoryBlocks } from '../support/dag.ts'

const CID_OF_BLOCK = new MemoryBlocks().addRaw(Buffer.from('a block'))
const KEY = multihashKey(CID_OF_BLOCK)

/** A disk whose reads end when the test says so. */
class Disk implements Pick<BlockReader, 'get'> {
  readonly reads: { options: GetOptions | undefined; answer: PromiseWithResolvers<Uint8Array | undefined> }[] = []

  get(_: unknown, options?: GetOptions): Promise<Uint8Array | undefined> {
    const answer = Promise.withResolvers<Uint8Array | undefined>()
    options?.signal?.addEventListener('abort', () => answer.reject(options.signal?.reason))
    this.reads.push({ options, answer })
    return answer.promise
  }
}

test('what many ask for at once is read once, into a buffer that none of them can give away', async () => {
  const [disk, buffers] = [new Disk(), new UsedBuffers()]
  const reads = new SharedReads(disk)
  const asked = Array.from({ length: 10 }, () => reads.get(KEY, CID_OF_BLOCK, { buffers }))
  disk.reads[0]?.answer.resolve(buffers.take(1 << 20).fill(7))
  const all = await Promise.all(asked)
  assert.equal(disk.reads.length, 1)
  buffers.giveBack(all[0] as Uint8Array)
  buffers.take(1 << 20).fill(8)
  assert.ok(all.every((bytes) => bytes?.[0] === 7))
})

test('the buffer of a lone reader is used again', async () => {
  const [disk, buffers] = [new Disk(), new UsedBuffers()]
  const asked = new SharedReads(disk).get(KEY, CID_OF_BLOCK, { buffers })
  disk.reads[0]?.answer.resolve(buffers.take(1 << 20))
  const bytes = (await asked) as Uint8Array
  buffers.giveBack(bytes)
  assert.equal(buffers.take(1 << 20).buffer, bytes.buffer)
})

test('others get the block when the one who was reading it goes, and one who goes leaves the others theirs', async () => {
  const disk = new Disk()
  const reads = new SharedReads(disk)
  const [first, third] = [new AbortController(), new AbortController()]
  const gone = reads.get(KEY, CID_OF_BLOCK, { signal: first.signal })
  const stays = reads.get(KEY, CID_OF_BLOCK)
  const leaves = reads.get(KEY, CID_OF_BLOCK, { signal: third.signal })
  third.abort()
  await assert.rejects(leaves, { name: 'AbortError' })
  first.abort()
  await assert.rejects(gone, { name: 'AbortError' })
  disk.reads[1]?.answer.resolve(Buffer.from('a block'))
  assert.deepEqual(await stays, Buffer.from('a block'))
  assert.equal(disk.reads.length, 2)
})

test('a failure of the disk is told to all, and is no answer to whoever asks later', async () => {
  const disk = new Disk()
  const reads = new SharedReads(disk)
  const asked = [1, 2].map(() => reads.get(KEY, CID_OF_BLOCK))
  disk.reads[0]?.answer.reject(new HoldfastError('STORAGE_FAILED', 'The disk failed.'))
  for (const one of asked) await assert.rejects(one, { code: 'STORAGE_FAILED' })
  const later = reads.get(KEY, CID_OF_BLOCK)
  disk.reads[1]?.answer.resolve(undefined)
  assert.equal(await later, undefined)
})
