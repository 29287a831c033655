import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { holdRoot, putAll, temporaryStore, testBlock, testBlocks } from '../support/blocks.ts'

async function ask(child: ChildProcess, question: unknown): Promise<unknown> {
  const answered = once(child, 'message')
  child.send(question as object)
  const [answer] = (await answered) as [unknown]
  return answer
}

test('another process sees blocks and roots as soon as they are acknowledged', async (t) => {
  await using opened = await temporaryStore()
  const { store } = opened
  const child = fork(join(import.meta.dirname, '../support/blocks-answer.ts'), [opened.folder])
  t.after(() => child.kill())
  assert.deepEqual((await once(child, 'message'))[0], 'ready')
  await using batch = store.openBatch()
  for (let seed = 0; seed < 50; seed += 1) {
    const block = testBlock(seed)
    assert.deepEqual(await ask(child, { cid: block.cid.toString() }), { has: false })
    await putAll(batch, [block])
    await batch.flush()
    const expected = { has: true, size: 1_000, bytes: Buffer.from(block.bytes).toString('base64') }
    assert.deepEqual(await ask(child, { cid: block.cid.toString() }), expected)
  }
  const root = await holdRoot(store, testBlocks(2_000, { length: 50 }))
  assert.deepEqual(await ask(child, { root: root.cid.toString() }), { blocks: 2_000, bytes: 100_000, manifest: 2_000 })
  await store.releaseRoot(root.cid)
  assert.deepEqual(await ask(child, { root: root.cid.toString() }), { manifest: 0 })
  assert.deepEqual(await ask(child, { space: true }), { blocks: store.space().blocks })
  child.disconnect()
  await once(child, 'exit')
})
