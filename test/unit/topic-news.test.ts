import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TopicNews } from '../../services/swarm/topic-news.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

function texts(news: { key: Uint8Array; value: Uint8Array }[]): string[] {
  return news.map(({ key, value }) => `${Buffer.from(key).toString()} ${Buffer.from(value).toString()}`)
}

test('of one key a slow hearer gets the last value, and each hearer gets all keys', async () => {
  const news = new TopicNews()
  const stop = new AbortController()
  const hearers = [news.hear(stop.signal), news.hear(stop.signal)]
  const first = hearers.map((hearer) => hearer.next())
  news.tell({ key: bytes('a'), value: bytes('1') })
  news.tell({ key: bytes('b'), value: bytes('1') })
  news.tell({ key: bytes('b'), value: bytes('2') })
  for (const [index, hearer] of hearers.entries()) {
    const heard = [(await first[index])?.value, (await hearer.next()).value].filter((value) => value !== undefined)
    assert.deepEqual(texts(heard), ['a 1', 'b 2'])
  }
  stop.abort()
  for (const hearer of hearers) assert.equal((await hearer.next()).done, true)
})

test('what is told while nobody hears is told to who comes next', async () => {
  const news = new TopicNews()
  const stop = new AbortController()
  for (let count = 0; count < 3; count++) news.tell({ key: bytes('a'), value: bytes(String(count)) })
  const hearer = news.hear(stop.signal)
  const { value } = await hearer.next()
  assert.deepEqual(value && texts([value]), ['a 2'])
  await hearer.return()
})
