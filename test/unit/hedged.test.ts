import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { hedged } from '../../services/gateway/hedged.ts'

/** Longer than any test. */
const FOR_EVER = 2 ** 31 - 1
const never = new AbortController().signal

async function* inTurn<T>(candidates: readonly T[], asked: T[] = []): AsyncGenerator<T> {
  for (const candidate of candidates) {
    asked.push(candidate)
    yield candidate
  }
}

suite('hedged attempts', () => {
  test('take the first that gives something, and ask no further', async () => {
    const asked: string[] = []
    const attempt = (name: string): Promise<string | undefined> => Promise.resolve(name === 'b' ? 'of b' : undefined)
    const result = await hedged(inTurn(['a', 'b', 'c'], asked), attempt, { patienceMs: () => FOR_EVER, signal: never })
    assert.equal(result, 'of b')
    assert.deepEqual(asked, ['a', 'b'])
  })

  test('find nothing when nobody gives anything', async () => {
    const nothing = (): Promise<undefined> => Promise.resolve(undefined)
    const options = { patienceMs: () => FOR_EVER, signal: never }
    assert.equal(await hedged(inTurn(['a', 'b']), nothing, options), undefined)
    assert.equal(await hedged(inTurn([]), nothing, options), undefined)
  })

  test('go on beside one that is slow; whoever is first wins, and the others are told to stop', async () => {
    const stopped: string[] = []
    const slow = Promise.withResolvers<string>()
    const attempt = async (name: string, signal: AbortSignal): Promise<string | undefined> => {
      signal.addEventListener('abort', () => stopped.push(name))
      if (name === 'a') return await slow.promise
      slow.resolve('of a')
      return await new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined)))
    }
    const result = await hedged(inTurn(['a', 'b']), attempt, { patienceMs: () => 1, signal: never })
    assert.equal(result, 'of a')
    assert.deepEqual(stopped, ['a', 'b'])
  })

  test('need no further candidate while the search for one goes on', async () => {
    async function* searching(): AsyncGenerator<string> {
      yield 'a'
      await new Promise(() => {})
    }
    const given = Promise.withResolvers<string>()
    const attempt = (): Promise<string> => given.promise
    const running = hedged(searching(), attempt, { patienceMs: () => 1, signal: never })
    setImmediate(() => given.resolve('of a'))
    assert.equal(await running, 'of a')
  })

  test('end when they are told to', async () => {
    const stop = new AbortController()
    const attempt = (_: string, signal: AbortSignal): Promise<undefined> =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined)))
    const running = hedged(inTurn(['a']), attempt, { patienceMs: () => FOR_EVER, signal: stop.signal })
    setImmediate(() => stop.abort())
    assert.equal(await running, undefined)
  })
})
