import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBatcher } from '../../services/catalog/batcher.ts'

/** A batcher whose batches end when told to. */
function manual(concurrency: number, batchSize = 100) {
  const batches: {
    items: readonly number[]
    done: (answers: (string | Error)[]) => void
    fail: (why: Error) => void
  }[] = []
  let idle = 0
  const batcher = createBatcher<number, string>({
    concurrency,
    batchSize,
    onIdle: () => idle++,
    flush: (items) => new Promise((resolve, reject) => batches.push({ items, done: resolve, fail: reject })),
  })
  return { batcher, batches, idle: () => idle }
}

const turn = () => new Promise(setImmediate)

test('a lone call goes at once, and what comes while batches are under way joins the next', async () => {
  const { batcher, batches, idle } = manual(1)
  const first = batcher.add(1)
  await turn()
  const others = [batcher.add(2), batcher.add(3)]
  await turn()
  assert.deepEqual(
    batches.map(({ items }) => items),
    [[1]],
  )
  assert.equal(batcher.waiting(), 2)
  batches[0]?.done(['one'])
  assert.equal(await first, 'one')
  await turn()
  assert.deepEqual(batches[1]?.items, [2, 3])
  batches[1].done(['two', 'three'])
  assert.deepEqual(await Promise.all(others), ['two', 'three'])
  await turn()
  assert.equal(idle(), 1)
})

test('no more batches are under way than allowed, and none is larger', async () => {
  const { batcher, batches } = manual(2, 3)
  const answers = Array.from({ length: 10 }, (_, item) => batcher.add(item))
  for (let seen = 0; seen < 4; seen++) {
    await turn()
    assert.ok(batches.length - seen <= 2)
    const batch = batches[seen]
    batch?.done(batch.items.map(String))
  }
  assert.deepEqual(await Promise.all(answers), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  assert.deepEqual(
    batches.map(({ items }) => items.length),
    [3, 3, 3, 1],
  )
})

test('a batch that fails fails its own callers, an answer that is an error one of them', async () => {
  const { batcher, batches } = manual(1)
  const failing = [batcher.add(1), batcher.add(2)]
  await turn()
  batches[0]?.fail(new Error('all of it'))
  for (const call of await Promise.allSettled(failing)) assert.equal(call.status, 'rejected')
  const mixed = [batcher.add(3), batcher.add(4)]
  await turn()
  batches[1]?.done(['three', new Error('only this')])
  assert.deepEqual(
    (await Promise.allSettled(mixed)).map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
})
