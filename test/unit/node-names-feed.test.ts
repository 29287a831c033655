import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { HoldfastError } from '../../services/core/errors.ts'
import { placeText, type FeedPlace, type NamePage, type NameSink } from '../../services/core/name-feed.ts'
import { NamesFeed, type FetchNames } from '../../services/node/names-feed.ts'
import { memoryLog } from '../support/web.ts'

const FEED = '11111111-1111-4111-8111-111111111111'
const { log } = memoryLog()
const signal = new AbortController().signal

let folder: string
let files = 0
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-names-feed-'))
})
after(() => rm(folder, { recursive: true }))

function newFile(): string {
  return join(folder, `place-${files++}.json`)
}

function place(version: number): FeedPlace {
  return { feed: FEED, version }
}

/** A disk that can be full, and what is served. */
class TestSink implements NameSink {
  readonly offered: string[] = []
  readonly kept: string[] = []
  isFull = false

  offer(name: string): void {
    if (name === 'broken') throw new HoldfastError('INVALID_RECORD', 'no record')
    this.offered.push(name)
  }

  keep(name: string): Promise<void> {
    if (name === 'broken') return Promise.reject(new HoldfastError('INVALID_RECORD', 'no record'))
    if (this.isFull) return Promise.reject(new HoldfastError('STORAGE_FULL', 'full'))
    this.kept.push(name)
    return Promise.resolve()
  }
}

/** A feed of names `n1`, `n2`, …, two in a page. */
class TestFeed {
  readonly names: string[]
  readonly calls: { after: number; kept: number }[] = []

  constructor(...names: string[]) {
    this.names = names
  }

  get end(): string {
    return placeText(place(this.names.length))
  }

  readonly fetch: FetchNames = ({ after, kept }) => {
    this.calls.push({ after: after.version, kept: kept.version })
    const from = after.feed === FEED ? after.version : 0
    const names = this.names.slice(from, from + 2).map((name) => ({ name, record: 'AAAA' }))
    const page: NamePage = { at: place(from + names.length), names }
    return Promise.resolve(page)
  }
}

test('all pages are served and kept, and the last call says so', async () => {
  const sink = new TestSink()
  const feed = new TestFeed('n1', 'n2', 'n3')
  const names = await NamesFeed.open(newFile(), sink, { log })
  names.hear(feed.end)
  await names.follow(feed.fetch, signal)
  assert.deepEqual(sink.offered, ['n1', 'n2', 'n3'])
  assert.deepEqual(sink.kept, ['n1', 'n2', 'n3'])
  assert.deepEqual(feed.calls.at(-1), { after: 3, kept: 3 })
})

test('it waits for an end that it has not followed to, and after a restart asks for what came since', async () => {
  const file = newFile()
  const feed = new TestFeed('n1', 'n2', 'n3')
  const first = await NamesFeed.open(file, new TestSink(), { log })
  first.hear(feed.end)
  await first.follow(feed.fetch, signal)
  const stop = new AbortController()
  const waiting = first.follow(() => assert.fail('there is nothing new'), stop.signal)
  stop.abort()
  await waiting

  feed.names.push('n4')
  const sink = new TestSink()
  const second = await NamesFeed.open(file, sink, { log })
  second.hear(feed.end)
  await second.follow(feed.fetch, signal)
  assert.deepEqual(sink.offered, ['n4'])
})

test('a record that is none holds nothing up', async () => {
  const sink = new TestSink()
  const feed = new TestFeed('n1', 'broken', 'n3')
  const names = await NamesFeed.open(newFile(), sink, { log })
  names.hear(feed.end)
  await names.follow(feed.fetch, signal)
  assert.deepEqual(sink.kept, ['n1', 'n3'])
})

test('while the disk is full names are served all the same, and kept once it has room', async () => {
  const file = newFile()
  const sink = new TestSink()
  sink.isFull = true
  const feed = new TestFeed('n1', 'n2', 'n3')
  const names = await NamesFeed.open(file, sink, { log, retryMs: 1 })
  names.hear(feed.end)
  await names.follow(feed.fetch, signal)
  assert.deepEqual([sink.offered, sink.kept], [['n1', 'n2', 'n3'], []])
  assert.deepEqual(feed.calls.at(-1), { after: 3, kept: 0 })

  sink.isFull = false
  await names.follow(feed.fetch, signal)
  assert.deepEqual(sink.kept, ['n1', 'n2', 'n3'])
  assert.deepEqual(feed.calls.at(-1), { after: 3, kept: 3 })
})
