import assert from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../../services/core/block-source.ts'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { listDirectory } from '../../services/dag/list-directory.ts'
import { chunked, MemoryBlocks } from '../support/dag.ts'

const ENTRIES = 6_000

suite('listing a directory of many shards', () => {
  const blocks = new MemoryBlocks()
  let root: CID
  before(async () => {
    const items = Array.from({ length: ENTRIES }, (_, index) => ({
      path: `entry-${index}`,
      content: chunked(Buffer.from(String(index))),
    }))
    ;({ root } = await addDirectory(items, blocks))
  })

  /** Answers each read in a later turn of the event loop, the later reads before the earlier ones. */
  class SlowBlocks implements BlockSource {
    readonly signals: (AbortSignal | undefined)[] = []
    most = 0
    readonly #waiting: (() => void)[] = []

    get(cid: CID, options?: Abortable): Promise<Uint8Array | undefined> {
      this.signals.push(options?.signal)
      return new Promise((resolve) => {
        this.#waiting.push(() => resolve(blocks.get(cid)))
        this.most = Math.max(this.most, this.#waiting.length)
        setImmediate(() => this.#waiting.pop()?.())
      })
    }
  }

  test('reads a few shards ahead, and keeps the order of the links', async () => {
    const slow = new SlowBlocks()
    const names = await Array.fromAsync(listDirectory(root, slow), ({ name }) => name)
    assert.deepEqual(names, await Array.fromAsync(listDirectory(root, blocks), ({ name }) => name))
    assert.equal(new Set(names).size, ENTRIES)
    assert.ok(slow.most >= 4 && slow.most <= 16, `${slow.most} reads at once`)
  })

  test('ends the reads ahead when nobody wants the rest', async () => {
    const slow = new SlowBlocks()
    for await (const { name } of listDirectory(root, slow)) {
      assert.match(name, /^entry-/)
      break
    }
    assert.ok(slow.signals.length < 32, `${slow.signals.length} reads`)
    assert.ok(slow.signals.slice(1).every((signal) => signal?.aborted === true))
  })

  test('ends with the failure of the shard whose turn it is', async () => {
    const shards: CID[] = []
    await Array.fromAsync(
      listDirectory(root, {
        get: (cid) => {
          shards.push(cid)
          return blocks.get(cid)
        },
      }),
    )
    const lost = shards[20] as CID
    const holed: BlockSource = { get: (cid) => (cid.equals(lost) ? Promise.resolve(undefined) : blocks.get(cid)) }
    await assert.rejects(Array.fromAsync(listDirectory(root, holed)), { code: 'BLOCK_MISSING', cid: lost })
  })
})
