import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCid } from '../../services/core/cid.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import { parseDnsLinks, type TxtLookup } from '../../services/naming/dnslink.ts'
import type { IpnsRecord } from '../../services/naming/ipns-record.ts'
import { parseName, type Name } from '../../services/naming/name.ts'
import { NameResolver, type NameResolverOptions } from '../../services/naming/name-resolver.ts'
import { askInOrder, type RecordSearch, type RecordSource } from '../../services/naming/record-source.ts'
import { generateSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import { failsWith } from '../support/dag.ts'
import { eventually } from '../support/eventually.ts'
import { CONTENT, DAY_MS, MemoryRecords, NOW_MS, recordOf, recordWith, soundData } from '../support/naming.ts'

const OTHER = '/ipfs/bafkqahtwgevxmmrao5uxi2bamjzg623fnyqhg2lhnzqxi5lsmuqhmmi'

/** A resolver with a clock of its own. */
function resolverOver(sources: readonly RecordSource[] | RecordSearch, options: Partial<NameResolverOptions> = {}) {
  const clock = { nowMs: NOW_MS }
  const records = typeof sources === 'function' ? sources : askInOrder(sources)
  return { clock, names: new NameResolver({ records, nowMs: () => clock.nowMs, ...options }) }
}

function nameOf(key: SigningKey): Name {
  return { kind: 'key', key: key.name }
}

async function contentOf(names: NameResolver, name: Name, segments: string[] = []): Promise<string> {
  const { root, segments: path } = await names.resolve(name, segments)
  return ['/ipfs', root.toString(), ...path].join('/')
}

test('a name leads to content, with its own path and then the one asked for', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords([key.name, recordOf(key, { value: `${CONTENT}/a/b` })])
  await using resolver = resolverOver([source]).names
  assert.deepEqual(await contentOf(resolver, nameOf(key), ['c', 'd e']), `${CONTENT}/a/b/c/d e`)
})

test('names lead over names and domains; the smallest TTL counts, and the names on the way are told', async () => {
  const [first, second] = [generateSigningKey(), generateSigningKey('rsa')]
  const source = new MemoryRecords(
    [first.name, recordOf(first, { value: '/ipns/site.example.org/one', ttlMs: 600_000 })],
    [second.name, recordOf(second, { value: `${CONTENT}/three`, ttlMs: 30_000 })],
  )
  const staticLinks = parseDnsLinks(`site.example.org:/ipns/${second.name.text}/two`)
  await using resolver = resolverOver([source], { staticLinks }).names
  const found = await resolver.resolve(nameOf(first), ['four'])
  assert.deepEqual(found.segments, ['three', 'two', 'one', 'four'])
  assert.equal(found.ttlMs, 30_000)
  assert.deepEqual(found.names, [first.name.text, 'site.example.org', second.name.text])
})

test('a TTL never goes beyond the end of the record', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords([
    key.name,
    recordOf(key, { validUntilMs: NOW_MS + 5_000, ttlMs: 3_155_760_000_000 }),
  ])
  await using resolver = resolverOver([source]).names
  assert.equal((await resolver.resolve(nameOf(key))).ttlMs, 5_000)
})

test('32 names are followed, a chain of 40 is an error', async () => {
  const links = Array.from({ length: 40 }, (_, hop) => `hop${hop}.example:/ipns/hop${hop + 1}.example`)
  const staticLinks = parseDnsLinks([...links, `hop40.example:${CONTENT}`].join(','))
  await using resolver = resolverOver([], { staticLinks }).names
  await assert.rejects(resolver.resolve(parseName('hop0.example')), failsWith('NAME_LOOP'))
  await assert.rejects(resolver.resolve(parseName('hop8.example')), failsWith('NAME_LOOP'))
  assert.equal((await resolver.resolve(parseName('hop9.example'))).names.length, 32)
})

test('a name that leads back to itself is an error, directly or over others', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords([key.name, recordOf(key, { value: '/ipns/loop.example' })])
  const staticLinks = parseDnsLinks(`self.example:/ipns/SELF.example,loop.example:/ipns/${key.name.text}`)
  await using resolver = resolverOver([source], { staticLinks }).names
  await assert.rejects(resolver.resolve(parseName('self.example')), failsWith('NAME_LOOP'))
  await assert.rejects(resolver.resolve(nameOf(key)), failsWith('NAME_LOOP'))
})

test('paths that grow over 256 segments on the way are refused', async () => {
  const staticLinks = parseDnsLinks(`deep.example:${CONTENT}${'/a'.repeat(200)}`)
  await using resolver = resolverOver([], { staticLinks }).names
  const below = Array.from({ length: 57 }, () => 'b')
  await assert.rejects(resolver.resolve(parseName('deep.example'), below), failsWith('BAD_REQUEST'))
  assert.equal((await resolver.resolve(parseName('deep.example'), below.slice(1))).segments.length, 256)
})

test('a name without record, a domain without link and a record that ended are not resolved', async () => {
  const [unknown, ended] = [generateSigningKey(), generateSigningKey()]
  const source = new MemoryRecords([ended.name, recordOf(ended, { validUntilMs: NOW_MS - 1 })])
  await using resolver = resolverOver([source]).names
  for (const name of [nameOf(unknown), nameOf(ended), parseName('example.org')]) {
    await assert.rejects(resolver.resolve(name), failsWith('NAME_NOT_RESOLVED'))
  }
})

test('a source that only gives an invalid record, or fails, is told apart from one that knows nothing', async () => {
  const [key, stranger] = [generateSigningKey(), generateSigningKey()]
  await using forged = resolverOver([new MemoryRecords([key.name, recordOf(stranger)])]).names
  await assert.rejects(forged.resolve(nameOf(key)), failsWith('UPSTREAM_FAILED'))
  const broken: RecordSource = { label: 'broken', get: () => Promise.reject(new Error('disk on fire')) }
  await using failing = resolverOver([broken]).names
  await assert.rejects(failing.resolve(nameOf(key)), failsWith('UPSTREAM_FAILED'))
  await using one = resolverOver([broken, new MemoryRecords([key.name, recordOf(key)])]).names
  assert.equal(await contentOf(one, nameOf(key)), CONTENT)
})

test('the static map wins over DNS, and without a lookup nobody is asked', async () => {
  const asked: string[] = []
  const lookUpTxt: TxtLookup = (domain) => {
    asked.push(domain)
    return Promise.resolve([{ text: `dnslink=${OTHER}`, ttlMs: 1_000 }])
  }
  const staticLinks = parseDnsLinks(`fixed.example:${CONTENT}`)
  await using resolver = resolverOver([], { staticLinks, lookUpTxt }).names
  assert.equal(await contentOf(resolver, parseName('fixed.example')), CONTENT)
  assert.deepEqual(asked, [])
  assert.equal(await contentOf(resolver, parseName('dns.example')), OTHER)
  assert.deepEqual(asked, ['_dnslink.dns.example'])
})

test('a link of DNS is remembered for its TTL, then served while it is asked for again, also when DNS fails', async () => {
  let answer: () => Promise<{ text: string; ttlMs: number }[]> = () =>
    Promise.resolve([{ text: `dnslink=${CONTENT}`, ttlMs: 30_000 }])
  let asked = 0
  const lookUpTxt: TxtLookup = () => {
    asked += 1
    return answer()
  }
  const { names, clock } = resolverOver([], { lookUpTxt })
  await using resolver = names
  const name = parseName('dns.example')
  assert.equal(await contentOf(resolver, name), CONTENT)
  clock.nowMs += 29_000
  assert.equal(await contentOf(resolver, name), CONTENT)
  assert.equal(asked, 1)
  answer = () => Promise.reject(new HoldfastError('UPSTREAM_FAILED', 'DNS is down.'))
  clock.nowMs += 2_000
  assert.equal(await contentOf(resolver, name), CONTENT)
  await eventually('DNS is asked again', () => asked === 2)
  answer = () => Promise.resolve([{ text: `dnslink=${OTHER}`, ttlMs: 30_000 }])
  clock.nowMs += 16_000
  await eventually('the new link is served', async () => (await contentOf(resolver, name)) === OTHER)
  answer = () => Promise.reject(new HoldfastError('UPSTREAM_FAILED', 'DNS is down.'))
  clock.nowMs += 2 * DAY_MS
  await assert.rejects(resolver.resolve(name), failsWith('UPSTREAM_FAILED'))
})

test('a record is remembered for its TTL, and served while it is asked for again until it ends', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords([key.name, recordOf(key, { ttlMs: 60_000 })])
  const { names, clock } = resolverOver([source])
  await using resolver = names
  await resolver.resolve(nameOf(key))
  clock.nowMs += 59_000
  await resolver.resolve(nameOf(key))
  assert.equal(source.asked, 1)
  source.set(key.name, recordOf(key, { sequence: 2n, value: OTHER }))
  clock.nowMs += 2_000
  assert.equal(await contentOf(resolver, nameOf(key)), CONTENT, 'the old one is served at once')
  await eventually('the new one is served', async () => (await contentOf(resolver, nameOf(key))) === OTHER)
  assert.equal(source.asked, 2)
  source.records.clear()
  clock.nowMs = NOW_MS + DAY_MS
  assert.equal(await contentOf(resolver, nameOf(key)), OTHER, 'to the last millisecond')
  clock.nowMs += 1
  await assert.rejects(resolver.resolve(nameOf(key)), failsWith('NAME_NOT_RESOLVED'))
})

test('a record that asks for it is looked for again after five seconds', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords([key.name, recordOf(key, { ttlMs: 5_000 })])
  const { names, clock } = resolverOver([source])
  await using resolver = names
  await resolver.resolve(nameOf(key))
  clock.nowMs += 4_999
  await resolver.resolve(nameOf(key))
  assert.equal(source.asked, 1)
  clock.nowMs += 2
  await resolver.resolve(nameOf(key))
  await eventually('the second search', () => source.asked === 2)
})

test('no answer is below the highest sequence seen, also when that record has ended', async () => {
  const key = generateSigningKey()
  const high = recordOf(key, { sequence: 5n, validUntilMs: NOW_MS + 1_000, ttlMs: 0 })
  const low = recordOf(key, { sequence: 4n, value: OTHER, ttlMs: 0 })
  const source = new MemoryRecords([key.name, high])
  const { names, clock } = resolverOver([source])
  await using resolver = names
  assert.equal(await contentOf(resolver, nameOf(key)), CONTENT)
  source.set(key.name, low)
  clock.nowMs += 1_000
  assert.equal(await contentOf(resolver, nameOf(key)), CONTENT)
  resolver.offer(key.name, low)
  assert.equal(await contentOf(resolver, nameOf(key)), CONTENT)
  clock.nowMs += 60_000
  await assert.rejects(resolver.resolve(nameOf(key)), failsWith('NAME_NOT_RESOLVED'))
})

test('an ended record on disk keeps an older one of the network from being served', async () => {
  const key = generateSigningKey()
  const disk = new MemoryRecords([key.name, recordOf(key, { sequence: 5n, validUntilMs: NOW_MS - 1 })])
  const network = new MemoryRecords([key.name, recordOf(key, { sequence: 4n })])
  await using resolver = resolverOver([disk, network]).names
  await assert.rejects(resolver.resolve(nameOf(key)), failsWith('NAME_NOT_RESOLVED'))
})

test('the first valid record is served while the search goes on, and a better one replaces it', async () => {
  const key = generateSigningKey()
  const more = Promise.withResolvers<void>()
  const search: RecordSearch = async function* () {
    yield recordOf(key, { sequence: 1n })
    await more.promise
    yield recordOf(key, { sequence: 2n, value: OTHER })
  }
  await using resolver = resolverOver(search).names
  assert.equal(await contentOf(resolver, nameOf(key)), CONTENT)
  more.resolve()
  await eventually('the better one is served', async () => (await contentOf(resolver, nameOf(key))) === OTHER)
})

test('a hundred who ask at once share one search', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords([key.name, recordOf(key)])
  await using resolver = resolverOver([source]).names
  const all = await Promise.all(Array.from({ length: 100 }, () => contentOf(resolver, nameOf(key))))
  assert.deepEqual(new Set(all), new Set([CONTENT]))
  assert.equal(source.asked, 1)
})

test('one who goes leaves the search to the others', async () => {
  const key = generateSigningKey()
  const found = Promise.withResolvers<IpnsRecord>()
  const search: RecordSearch = async function* () {
    yield await found.promise
  }
  await using resolver = resolverOver(search).names
  const stop = new AbortController()
  const gone = resolver.resolve(nameOf(key), [], { signal: stop.signal })
  const stays = contentOf(resolver, nameOf(key))
  stop.abort(new Error('gone'))
  await assert.rejects(gone, /gone/)
  found.resolve(recordOf(key))
  assert.equal(await stays, CONTENT)
})

test('that nothing was found is remembered for 15 s, unless a record arrives', async () => {
  const key = generateSigningKey()
  const source = new MemoryRecords()
  const { names, clock } = resolverOver([source])
  await using resolver = names
  for (let time = 0; time < 3; time++)
    await assert.rejects(resolver.resolve(nameOf(key)), failsWith('NAME_NOT_RESOLVED'))
  assert.equal(source.asked, 1)
  clock.nowMs += 16_000
  await assert.rejects(resolver.resolve(nameOf(key)), failsWith('NAME_NOT_RESOLVED'))
  assert.equal(source.asked, 2)
  resolver.offer(key.name, recordOf(key))
  assert.equal(await contentOf(resolver, nameOf(key)), CONTENT)
})

test('a search that takes too long is given up with a code, whether or not the source listens', async () => {
  const deaf: RecordSource = { label: 'deaf', get: () => new Promise(() => {}) }
  await using resolver = resolverOver([deaf], { searchMs: 20 }).names
  await assert.rejects(resolver.resolve(nameOf(generateSigningKey())), failsWith('TIMED_OUT'))
})

test('a resolver that is closed ends its searches', async () => {
  const deaf: RecordSource = { label: 'deaf', get: () => new Promise(() => {}) }
  const resolver = resolverOver([deaf]).names
  const waiting = assert.rejects(resolver.resolve(nameOf(generateSigningKey())), failsWith('UNAVAILABLE'))
  await resolver[Symbol.asyncDispose]()
  await waiting
})

test('a value of a record that is no content path is not resolved, a binary CID and an empty value are', async () => {
  const resolved = async (value: Uint8Array): Promise<string> => {
    const key = generateSigningKey()
    const source = new MemoryRecords()
    source.records.set(key.name.text, recordWith(key, { ...soundData(), Value: value }))
    await using resolver = resolverOver([source]).names
    return await contentOf(resolver, nameOf(key))
  }
  assert.equal(await resolved(parseCid(CONTENT.slice('/ipfs/'.length)).bytes), CONTENT)
  assert.equal(await resolved(new Uint8Array(0)), '/ipfs/bafkqaaa')
  for (const value of ['/', '/ipfs', 'x', '/ipfs/x', '/http/x', `${CONTENT}/../y`, `${CONTENT}/a\0b`]) {
    await assert.rejects(resolved(Buffer.from(value)), failsWith('NAME_NOT_RESOLVED'))
  }
  await assert.rejects(resolved(Buffer.from([0x2f, 0xff, 0xfe])), failsWith('NAME_NOT_RESOLVED'))
})
