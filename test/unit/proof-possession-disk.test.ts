import assert from 'node:assert/strict'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { cidKey } from '../../services/core/cid.ts'
import { hasGap } from '../../services/core/proof/challenge.ts'
import { Outbox } from '../../services/node/outbox.ts'
import { Possessions } from '../../services/node/possessions.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ProvingNode } from '../support/proving-node.ts'
import { openTestStore } from '../support/test-store.ts'
import { memoryLog } from '../support/web.ts'

const LEAVES = 40

test('a block store answers as any whole copy does, and not for a block that its disk has spoiled', async () => {
  const source = new MemoryBlocks()
  const contents = Array.from({ length: LEAVES }, (_, place) => Buffer.from(`the block of the place ${place}`))
  const leaves = contents.map((content) => source.addRaw(content))
  const root = source.addFileNode(
    leaves,
    contents.map(({ length }) => length),
  )
  await using memory = new ProvingNode()
  await memory.hold(root, source)
  await using store = await openTestStore()
  await store.put(source.blocks())
  await store.commitRoot(root)
  const outbox = new Outbox()
  const identity = { sign: () => 'a signature' }
  await using disk = new Possessions({ store: store.blocks, identity, outbox, log: memoryLog().log })
  const challenge = { root: cidKey(root), nonce: `0x${'0f'.repeat(32)}`, subjects: [memory.publicKey] }
  const ask = async (id: string): Promise<Buffer> => {
    disk.accept([{ ...challenge, id }])
    await outbox.filled(AbortSignal.timeout(10_000))
    const [report] = outbox.takePossessions(1)
    assert.equal(report?.blocks, LEAVES + 1)
    return Buffer.from(report.answers[0]?.answers ?? '', 'base64url')
  }
  const expected = Buffer.from((await memory.answer({ ...challenge, id: '1' })).answers[0]?.answers ?? '', 'base64url')
  assert.deepEqual(await ask('1'), expected)
  await spoil(store.folder, contents[7] as Buffer)
  const spoiled = await ask('2')
  assert.equal(hasGap(spoiled), true)
  const differing = Array.from({ length: LEAVES + 1 }, (_, place) => place).filter(
    (place) => !spoiled.subarray(place * 32, place * 32 + 32).equals(expected.subarray(place * 32, place * 32 + 32)),
  )
  // The root comes first.
  assert.deepEqual(differing, [8])
})

/** Turns a bit of the content, where it lies. */
async function spoil(folder: string, content: Buffer): Promise<void> {
  for (const name of await readdir(join(folder, 'segments'))) {
    await using file = await open(join(folder, 'segments', name), 'r+')
    const at = (await file.readFile()).indexOf(content)
    if (at === -1) continue
    await file.write(Buffer.from([(content[0] as number) ^ 1]), 0, 1, at)
    return
  }
  throw new Error('the content is in no segment')
}
