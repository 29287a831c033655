import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { dnsLookup } from '../../services/naming/dns-lookup.ts'
import { chooseLink, lookUpDnsLink, parseDnsLinks, type DnsLink } from '../../services/naming/dnslink.ts'
import { nameText } from '../../services/naming/name.ts'
import { failsWith } from '../support/dag.ts'
import { startDnsServer, type DnsAnswer } from '../support/dns-server.ts'

const CID = 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'
const KEY = 'k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam'
const LINK = `dnslink=/ipfs/${CID}`

function linkOf(...texts: string[]): string | undefined {
  return textOf(chooseLink(texts.map((text) => ({ text }))))
}

function textOf(link: DnsLink | undefined): string | undefined {
  if (link === undefined) return undefined
  const { target } = link
  const root = target.namespace === 'ipfs' ? target.root.toString() : nameText(target.name)
  return [`/${target.namespace}`, root, ...target.segments].join('/')
}

test('a link points to content or to a name, with a path below', () => {
  assert.equal(linkOf(LINK), `/ipfs/${CID}`)
  assert.equal(linkOf(`${LINK}/a/b c/`), `/ipfs/${CID}/a/b c`)
  assert.equal(linkOf(`dnslink=/ipns/${KEY}/a`), `/ipns/${KEY}/a`)
  assert.equal(linkOf('dnslink=/ipns/Example.ORG'), '/ipns/example.org')
})

for (const text of [
  '',
  'v=spf1 -all',
  `DNSLINK=/ipfs/${CID}`,
  'dnslink=',
  'dnslink=/',
  'dnslink=/ipfs/',
  'dnslink=/ipfs/notacid',
  'dnslink=/ipns/',
  'dnslink=/ipns/nokey',
  `dnslink=/ipfs/${KEY}`,
  `dnslink=/swarm/${CID}`,
  `dnslink=/ipfs/${CID}/../x`,
  `dnslink=/ipfs/${CID}/${'x'.repeat(70_000)}`,
]) {
  test(`${JSON.stringify(text.slice(0, 40))} (${text.length} characters) is as if it were not there`, () => {
    assert.equal(linkOf(text), undefined)
    assert.equal(linkOf(text, LINK, text), `/ipfs/${CID}`)
  })
}

test('of several links the same one is taken in whatever order DNS gives them, and the others are counted', () => {
  const texts = [LINK, `dnslink=/ipns/${KEY}`, 'dnslink=/ipfs/bafkqaaa', 'dnslink=/ipfs/broken']
  fc.assert(
    fc.property(fc.shuffledSubarray(texts, { minLength: texts.length }), (shuffled) => {
      const link = chooseLink(shuffled.map((text) => ({ text })))
      assert.equal(textOf(link), '/ipfs/bafkqaaa')
      assert.equal(link?.ignored, 2)
    }),
  )
})

test('a link lives as long as its record', () => {
  assert.equal(chooseLink([{ text: LINK, ttlMs: 5_000 }])?.ttlMs, 5_000)
})

test('the static map is a list of names and paths', () => {
  const links = parseDnsLinks(` En.Wiki-x.org:/ipfs/${CID}/wiki, docs.example.org.:/ipns/${KEY},`)
  assert.deepEqual(
    [...links].map(([domain, link]) => [domain, textOf(link)]),
    [
      ['en.wiki-x.org', `/ipfs/${CID}/wiki`],
      ['docs.example.org', `/ipns/${KEY}`],
    ],
  )
  assert.equal(parseDnsLinks('').size, 0)
})

for (const text of [
  'example.org',
  'example.org:',
  `:/ipfs/${CID}`,
  `localhost:/ipfs/${CID}`,
  'a.org:/ipfs/x',
  'a.org:http://b',
]) {
  test(`a static map with ${JSON.stringify(text)} is refused and says which entry it is`, () => {
    assert.throws(
      () => parseDnsLinks(`ok.example.org:/ipfs/${CID},${text}`),
      (error: Error) => {
        return failsWith('CONFIG')(error) && error.message.includes(JSON.stringify(text))
      },
    )
  })
}

async function withDns(answers: Record<string, DnsAnswer>) {
  const server = await startDnsServer(new Map(Object.entries(answers)))
  const lookup = dnsLookup({ servers: [server.address], timeoutMs: 300, tries: 1 })
  return { server, lookup, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('DNS is asked for _dnslink first, and for the domain itself only if there is no link', async () => {
  await using dns = await withDns({
    '_dnslink.a.example': [LINK],
    'a.example': ['dnslink=/ipfs/bafkqaaa'],
    '_dnslink.b.example': ['v=spf1 -all'],
    'b.example': ['unrelated', LINK],
  })
  assert.equal(textOf(await lookUpDnsLink('a.example', dns.lookup)), `/ipfs/${CID}`)
  assert.deepEqual(dns.server.questions, ['_dnslink.a.example'])
  assert.equal(textOf(await lookUpDnsLink('b.example', dns.lookup)), `/ipfs/${CID}`)
  assert.equal(await lookUpDnsLink('c.example', dns.lookup), undefined)
})

test('a link in several strings is joined, and an oversized record beside it is ignored', async () => {
  const path = 'a'.repeat(600)
  await using dns = await withDns({ '_dnslink.long.example': [`${LINK}/${path}`, `${LINK}/${'b'.repeat(60_000)}`] })
  assert.equal(textOf(await lookUpDnsLink('long.example', dns.lookup)), `/ipfs/${CID}/${path}`)
})

test('a DNS server that fails or says nothing is a failure, not a domain without a link', async () => {
  await using dns = await withDns({ '_dnslink.fails.example': 'SERVFAIL', '_dnslink.silent.example': 'SILENCE' })
  await assert.rejects(lookUpDnsLink('fails.example', dns.lookup), failsWith('UPSTREAM_FAILED'))
  await assert.rejects(lookUpDnsLink('silent.example', dns.lookup), failsWith('TIMED_OUT'))
})

test('a question to DNS can be given up', async () => {
  await using dns = await withDns({ '_dnslink.silent.example': 'SILENCE' })
  const patient = dnsLookup({ servers: [dns.server.address], timeoutMs: 60_000, tries: 1 })
  const stop = new AbortController()
  const asked = once(dns.server.asked, '_dnslink.silent.example')
  const answer = lookUpDnsLink('silent.example', patient, { signal: stop.signal })
  await asked
  stop.abort(new Error('enough'))
  await assert.rejects(answer, /enough/)
})
