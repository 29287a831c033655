import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { base32, base32upper } from 'multiformats/bases/base32'
import { base36, base36upper } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { create as createMultihash } from 'multiformats/hashes/digest'
import { HoldfastError } from '../../services/core/errors.ts'
import { routingKeyOf, routingKeyOfText } from '../../services/core/routing-key.ts'
import { inlineDnsName, parseDnsName, uninlineDnsName } from '../../services/naming/dns-name.ts'
import { nameOfMultihash, nameOfRoutingKey, parseIpnsName, peerIdOf } from '../../services/naming/ipns-name.ts'
import { nameText, parseName } from '../../services/naming/name.ts'
import { failsWith } from '../support/dag.ts'

const LIBP2P_KEY = 0x72

/** A name in the forms in which programs write it. The pairs are from the official gateway suite. */
const FORMS: [canonical: string, peerId: string][] = [
  [
    'k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam',
    '12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d',
  ],
  ['k2k4r8m7xvggw5pxxk3abrkwyer625hg01hfyggrai7lk1m63fuihi7w', 'QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa3'],
]

for (const [canonical, peerId] of FORMS) {
  test(`${peerId} is ${canonical}, in every base`, () => {
    const name = parseIpnsName(peerId)
    assert.equal(name.text, canonical)
    assert.equal(peerIdOf(name), peerId)
    const cid = CID.createV1(LIBP2P_KEY, name.multihash)
    const bases = [base32, base32upper, base36, base36upper, base58btc]
    for (const base of bases) assert.equal(parseIpnsName(base.encode(cid.bytes)).text, canonical)
  })
}

test('a name has the routing key of the specification: /ipns/ and its binary multihash', () => {
  const name = parseIpnsName(FORMS[0]?.[0] ?? '')
  const multihash = base58btc.decode(`z${FORMS[0]?.[1]}`)
  assert.deepEqual(Buffer.from(routingKeyOf(name)), Buffer.concat([Buffer.from('/ipns/'), multihash]))
  assert.deepEqual(routingKeyOfText(name.text), routingKeyOf(name))
  assert.equal(nameOfRoutingKey(routingKeyOf(name)).text, name.text)
  for (const key of ['/pk/x', '/ipns/', '/ipns/no multihash']) {
    assert.throws(() => nameOfRoutingKey(Buffer.from(key)), failsWith('INVALID_NAME'))
  }
})

const NO_NAMES: [what: string, text: string][] = [
  ['nothing', ''],
  ['the CID of a file', 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'],
  ['a word', 'hello'],
  ['a peer id that is cut short', '12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd'],
  ['a CIDv0 that is cut short', 'QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa'],
  ['a key of 43 bytes', CID.createV1(LIBP2P_KEY, createMultihash(0, new Uint8Array(43))).toString(base36)],
  ['an empty key', CID.createV1(LIBP2P_KEY, createMultihash(0, new Uint8Array(0))).toString(base36)],
  ['a short hash', CID.createV1(LIBP2P_KEY, createMultihash(0x12, new Uint8Array(20))).toString(base36)],
  ['another hash', CID.createV1(LIBP2P_KEY, createMultihash(0x1e, new Uint8Array(32))).toString(base36)],
  ['a text of a megabyte', 'k'.repeat(1_000_000)],
]

for (const [what, text] of NO_NAMES) {
  test(`${what} is no name`, () => {
    assert.throws(() => parseIpnsName(text), failsWith('INVALID_NAME'))
  })
}

test('the name behind a CID with the codec of old tools is found by its multihash', () => {
  const name = parseIpnsName(FORMS[1]?.[1] ?? '')
  assert.equal(nameOfMultihash(CID.createV1(0x70, name.multihash).multihash).text, FORMS[1]?.[0])
})

test('any text is a name or refused with a code', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.base64String()), (text) => {
      try {
        parseName(text)
      } catch (error) {
        assert.ok(error instanceof HoldfastError && error.code === 'INVALID_NAME')
      }
    }),
  )
})

test('every key of the right length has one canonical text that fits a DNS label', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 36, maxLength: 37 }), (key) => {
      const { text } = nameOfMultihash(createMultihash(0, key))
      assert.ok(text.length <= 63)
      assert.equal(parseIpnsName(text).text, text)
      assert.equal(parseIpnsName(text.toUpperCase()).text, text)
    }),
  )
})

test('domain names are those with a dot, in lower case and without the last dot', () => {
  assert.equal(parseDnsName('Docs.IPFS.tech.'), 'docs.ipfs.tech')
  assert.equal(parseDnsName('bücher.example'), 'xn--bcher-kva.example')
  assert.equal(nameText(parseName('en.wikipedia-on-ipfs.org')), 'en.wikipedia-on-ipfs.org')
})

for (const text of [
  'localhost',
  '127.0.0.1',
  'a..b',
  '-a.example',
  'a-.example',
  'a b.example',
  `${'a'.repeat(64)}.b`,
  '.',
]) {
  test(`${text} is no domain name that can have a link`, () => {
    assert.throws(() => parseDnsName(text), failsWith('INVALID_NAME'))
  })
}

test('a domain name of more than 253 characters is refused', () => {
  assert.throws(() => parseDnsName(Array.from({ length: 128 }, () => 'a').join('.')), failsWith('INVALID_NAME'))
})

test('a domain name becomes one label and comes back', () => {
  assert.equal(inlineDnsName('en.wikipedia-on-ipfs.org'), 'en-wikipedia--on--ipfs-org')
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?$/)
  fc.assert(
    fc.property(fc.array(label, { minLength: 2, maxLength: 5 }), (labels) => {
      const name = labels.join('.')
      assert.equal(uninlineDnsName(inlineDnsName(name)), name)
    }),
  )
})
