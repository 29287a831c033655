import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { HoldfastError } from '../../services/core/errors.ts'
import { dhtRecords } from '../../services/gateway/network-records.ts'
import { askAtOnce, type RecordStream } from '../../services/naming/ask-at-once.ts'
import type { IpnsRecord } from '../../services/naming/ipns-record.ts'
import { NameResolver } from '../../services/naming/name-resolver.ts'
import type { RecordSearch, RecordSource } from '../../services/naming/record-source.ts'
import { openRecordStore } from '../../services/naming/record-store.ts'
import { revalidatedRecords, routerRecords } from '../../services/naming/router-records.ts'
import { searchOutside } from '../../services/naming/search-outside.ts'
import { generateSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import { failsWith } from '../support/dag.ts'
import { eventually } from '../support/eventually.ts'
import { DAY_MS, MemoryRecords, NOW_MS, recordOf } from '../support/naming.ts'
import { deadRouter, openRouter } from '../support/delegated-router.ts'

/** Names of others: every source at once, the first valid answer served, the rest behind, and nobody can do harm. */

const NOBODY: RecordSource = { label: 'nobody', get: () => Promise.resolve(undefined) }

function giving(record: Uint8Array): RequestListener {
  return (_request, response) => void response.end(record)
}

/** What a router does that is broken or means harm. */
const HARMS: [what: string, answer: (key: SigningKey) => RequestListener][] = [
  ['answers an older record', (key) => giving(recordOf(key, { sequence: 1n }).bytes)],
  ["answers a stranger's record", () => giving(recordOf(generateSigningKey(), { sequence: 99n }).bytes)],
  ['answers a record that has ended', (key) => giving(recordOf(key, { sequence: 2n, validUntilMs: NOW_MS - 1 }).bytes)],
  ['answers no record', () => giving(Buffer.from('<html>captive portal</html>'))],
  ['answers nothing', () => giving(Buffer.alloc(0))],
  ['answers one byte too many', (key) => giving(Buffer.concat([recordOf(key).bytes, Buffer.alloc(10_240)]))],
  ['answers without end', () => (_request, response) => void pipeline(endless(), response).catch(() => {})],
  ['never answers', () => () => {}],
  ['never ends its answer', (key) => (_request, response) => void response.write(recordOf(key).bytes.subarray(0, 9))],
  ['resets the connection', () => (request) => void request.socket.resetAndDestroy()],
  ['fails', () => (_request, response) => void response.writeHead(500).end()],
  ['sends elsewhere', () => (_request, response) => void response.writeHead(302, { location: '/x' }).end()],
]

function endless(): Readable {
  return Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(65_536)
    })(),
  )
}

function found(search: RecordSearch, key: SigningKey, signal = new AbortController().signal): Promise<IpnsRecord[]> {
  return Array.fromAsync(search(key.name, { signal }))
}

async function firstOf(search: RecordSearch, key: SigningKey): Promise<bigint | undefined> {
  const stop = new AbortController()
  for await (const { sequence } of search(key.name, { signal: stop.signal })) return sequence
  return undefined
}

for (const [what, harm] of HARMS) {
  test(`a router that ${what} keeps nobody from the good one's record`, async () => {
    const key = generateSigningKey()
    await using bad = await openRouter(harm(key))
    await using good = await openRouter(giving(recordOf(key, { sequence: 7n }).bytes))
    const records = askAtOnce([routerRecords(bad.url), routerRecords(good.url)])
    await using resolver = new NameResolver({ records, nowMs: () => NOW_MS, searchMs: 2_000 })
    assert.equal((await newestOf(resolver, key)).sequence, 7n)
  })
}

/** The record once it is the one of the good router: a bad one may have answered first. */
function newestOf(resolver: NameResolver, key: SigningKey): Promise<IpnsRecord> {
  return eventually('the newest record', async () => {
    const record = await resolver.record(key.name)
    return record.sequence === 7n && record
  })
}

test('a router that is dead makes a name that others know no harder to find', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords([key.name, recordOf(key)])
  const search = askAtOnce([routerRecords(await deadRouter()), source])
  assert.equal((await found(search, key)).length, 1)
})

test('when no source gives a valid record the failure is told, and a name that nobody knows is none', async () => {
  const key = generateSigningKey()
  await using ignorant = await openRouter((_request, response) => void response.writeHead(404).end())
  await using liar = await openRouter(giving(recordOf(generateSigningKey()).bytes))
  assert.deepEqual(await found(askAtOnce([routerRecords(ignorant.url), NOBODY]), key), [])
  const failing = askAtOnce([routerRecords(await deadRouter()), routerRecords(ignorant.url)])
  await assert.rejects(found(failing, key), failsWith('UPSTREAM_FAILED'))
  await assert.rejects(found(askAtOnce([routerRecords(liar.url)]), key), failsWith('UPSTREAM_FAILED'))
})

test('the first valid answer comes at once; newer ones come behind it, older ones never', async () => {
  const key = generateSigningKey()
  const [slow, older] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const after = (gate: Promise<void>, sequence: bigint): RecordSource => ({
    label: 'gated',
    get: async () => {
      await gate
      return recordOf(key, { sequence }).bytes
    },
  })
  const search = askAtOnce([after(slow.promise, 9n), after(older.promise, 3n), after(Promise.resolve(), 5n)])
  const records = search(key.name, { signal: new AbortController().signal })[Symbol.asyncIterator]()
  assert.equal(((await records.next()).value as IpnsRecord).sequence, 5n)
  const next = records.next()
  older.resolve()
  slow.resolve()
  assert.equal(((await next).value as IpnsRecord).sequence, 9n)
  assert.equal((await records.next()).done, true)
})

test('a source that gives record after record is heard so far and no further', async () => {
  const key = generateSigningKey()
  const old = recordOf(key).bytes
  let given = 0
  const babbler: RecordStream = {
    label: 'babbler',
    async *find() {
      for (;;) {
        given += 1
        yield old
      }
    },
  }
  assert.equal((await found(askAtOnce([babbler]), key)).length, 1)
  assert.ok(given <= 32, `${given}`)
})

test('whoever has enough ends the questions to the others', async () => {
  const key = generateSigningKey()
  let closed: Promise<unknown> | undefined
  await using slow = await openRouter((request) => {
    closed = once(request.socket, 'close')
  })
  const source: RecordSource = {
    label: 'after the slow one was asked',
    get: async () => {
      await eventually('the question', () => slow.asked === 1)
      return recordOf(key).bytes
    },
  }
  assert.equal(await firstOf(askAtOnce([routerRecords(slow.url), source]), key), 1n)
  await closed
})

/** A node's search: an empty store on disk, nobody else in the cluster, one source outside. */
async function openNode(outside: RecordSource, { hosted = NOBODY }: { hosted?: RecordSource } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-search-'))
  const store = await openRecordStore(folder)
  const clock = { nowMs: NOW_MS }
  const search = searchOutside({
    hosted,
    given: NOBODY,
    found: store,
    cluster: NOBODY,
    outside: [outside],
    nowMs: () => clock.nowMs,
  })
  const open = (): NameResolver => new NameResolver({ records: search, nowMs: () => clock.nowMs })
  return { store, clock, search, open, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

test('after a restart nothing older is served than what was found before, also when only that can be had', async () => {
  const key = generateSigningKey()
  const world = new MemoryRecords([key.name, recordOf(key, { sequence: 5n, ttlMs: 0 })])
  await using node = await openNode(world)
  {
    await using resolver = node.open()
    assert.equal((await resolver.record(key.name)).sequence, 5n)
    await eventually('the record on disk', async () => (await node.store.get(key.name, {})) !== undefined)
  }
  world.set(key.name, recordOf(key, { sequence: 4n, ttlMs: 0, validUntilMs: NOW_MS + 2 * DAY_MS }))
  node.clock.nowMs += 60_000
  await using resolver = node.open()
  assert.equal((await resolver.record(key.name, { isRevalidated: true })).sequence, 5n)
  node.clock.nowMs = NOW_MS + DAY_MS + 1
  await assert.rejects(resolver.record(key.name, { isRevalidated: true }), failsWith('NAME_NOT_RESOLVED'))
})

test('a record whose owner wants it looked for at every request has the world asked once a minute', async () => {
  const key = generateSigningKey()
  const world = new MemoryRecords([key.name, recordOf(key, { ttlMs: 0 })])
  await using node = await openNode(world)
  await using resolver = node.open()
  for (let second = 0; second <= 60; second++) {
    await resolver.record(key.name, { isRevalidated: true })
    node.clock.nowMs += 1_000
  }
  assert.equal(world.asked, 2)
})

test('of a name of an account the world is asked every four minutes, and the newest record wins', async () => {
  const key = generateSigningKey()
  const hosted = new MemoryRecords([key.name, recordOf(key, { sequence: 2n, ttlMs: 0 })])
  const world = new MemoryRecords([key.name, recordOf(key, { sequence: 1n, ttlMs: 0 })])
  await using node = await openNode(world, { hosted })
  await using resolver = node.open()
  const newest = async (): Promise<bigint> => (await resolver.record(key.name, { isRevalidated: true })).sequence
  for (let minute = 0; minute <= 4; minute++) {
    assert.equal(await newest(), 2n)
    node.clock.nowMs += 60_000
  }
  assert.equal(world.asked, 2)
  world.set(key.name, recordOf(key, { sequence: 3n, ttlMs: 0 }))
  node.clock.nowMs += 4 * 60_000
  await eventually('what the owner published elsewhere', async () => (await newest()) === 3n)
})

test('who asks for the newest record waits for the search, and gets what it found', async () => {
  const key = generateSigningKey()
  const world = new MemoryRecords([key.name, recordOf(key, { ttlMs: 3_600_000 })])
  await using node = await openNode(world)
  await using resolver = node.open()
  assert.equal((await resolver.record(key.name)).sequence, 1n)
  world.set(key.name, recordOf(key, { sequence: 2n }))
  node.clock.nowMs += 60_000
  assert.equal((await resolver.record(key.name)).sequence, 1n, 'fresh for an hour')
  // The first search may still be about to end, and is then the one that is waited for.
  await eventually('the newest record', async () => {
    return (await resolver.record(key.name, { isRevalidated: true })).sequence === 2n
  })
})

test('a disk that takes nothing makes no name unresolvable', async () => {
  const key = generateSigningKey()
  const full = {
    label: 'full',
    get: () => Promise.reject(new HoldfastError('STORAGE_FAILED', 'broken')),
    put: () => Promise.reject(new HoldfastError('STORAGE_FULL', 'full')),
  }
  const outside = [new MemoryRecords([key.name, recordOf(key)])]
  const search = searchOutside({
    hosted: NOBODY,
    given: NOBODY,
    found: full,
    cluster: NOBODY,
    outside,
    nowMs: () => NOW_MS,
  })
  assert.equal((await found(search, key)).length, 1)
})

test('walks of the DHT are bounded; one that is not made fails, and makes room when others have ended', async () => {
  const key = generateSigningKey()
  const gate = Promise.withResolvers<void>()
  const client = {
    async *findValues() {
      await gate.promise
      for (let peer = 0; peer < 20; peer++) yield recordOf(key).bytes
    },
  }
  const search = askAtOnce([dhtRecords(client, { atOnce: 2 })])
  const walking = [found(search, key), found(search, key)]
  await assert.rejects(found(search, key), failsWith('UPSTREAM_FAILED'))
  gate.resolve()
  for (const records of await Promise.all(walking)) assert.equal(records.length, 1)
  for (let time = 0; time < 5; time++) assert.equal(await firstOf(search, key), 1n, 'also of those who left early')
})

test('a router is told that its cache will not do by the header of HTTP', async () => {
  const key = generateSigningKey()
  const told: (string | undefined)[] = []
  await using router = await openRouter((request, response) => {
    told.push(request.headers['cache-control'])
    response.end(recordOf(key).bytes)
  })
  for (const records of [routerRecords(router.url), revalidatedRecords(router.url)]) await records.get(key.name, {})
  assert.equal(told[1], 'no-cache')
  assert.notEqual(told[0], 'no-cache')
})
