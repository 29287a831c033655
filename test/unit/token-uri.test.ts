import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { base16 } from 'multiformats/bases/base16'
import { base32upper } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { base64url } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { DAG_CBOR, DAG_PB, LIBP2P_KEY, RAW, SHA2_256 } from '../../services/core/cid.ts'
import { classifyTokenUri, MAX_LINK } from '../../services/core/token-uri/classify.ts'
import { MAX_INLINE } from '../../services/core/token-uri/inline.ts'
import { parseTokenId } from '../../services/core/token-uri/token-id.ts'
import { assertSound } from '../support/token-uri.ts'

interface Row {
  group: string
  uri: string | null
  tokenId?: string | number
  kind: string
  cid: string | null
  path: string
  verdict: string
  name?: string
}

const rows = JSON.parse(readFileSync(new URL('../fixtures/token-uris.json', import.meta.url), 'utf8')) as Row[]

for (const group of new Set(rows.map((row) => row.group))) {
  test(`URIs of the group ${group} say what the table says`, () => {
    for (const { group: of, uri, tokenId, ...expected } of rows) {
      if (of !== group) continue
      const id = tokenId === undefined ? undefined : parseTokenId(String(tokenId))
      const { kind, cid, path, verdict, name } = classifyTokenUri(uri, id)
      const actual = { kind, cid, path, verdict, ...(name !== undefined && { name }) }
      assert.deepEqual(actual, expected, JSON.stringify(uri))
    }
  })
}

test('the table has every kind and every verdict', () => {
  assert.ok(rows.length >= 150)
  assert.equal(new Set(rows.map(({ kind }) => kind)).size, 14)
  assert.equal(new Set(rows.map(({ verdict }) => verdict)).size, 11)
})

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 50 }),
  fc.array(fc.nat(0xffff), { maxLength: 60 }).map((units) => String.fromCharCode(...units)),
)
/** Rows of the table, cut and joined with each other and with anything. */
const nearUri = fc
  .tuple(fc.constantFrom(...rows), fc.nat(), fc.constantFrom(...rows), fc.nat(), anyText)
  .map(([a, from, b, to, text]) => {
    const [first, second] = [a.uri ?? '', b.uri ?? '']
    return first.slice(0, from % (first.length + 1)) + text + second.slice(to % (second.length + 1))
  })

test('no text makes it throw, and every answer is sound', () => {
  fc.assert(
    fc.property(fc.oneof(anyText, nearUri), fc.option(fc.bigInt({ min: 0n, max: 2n ** 256n - 1n })), (text, id) => {
      assertSound(classifyTokenUri(text, id ?? undefined), text)
    }),
    { numRuns: 20_000 },
  )
})

const anyDigest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => createDigest(SHA2_256, bytes))
const anyCid = fc
  .tuple(fc.constantFrom(RAW, DAG_PB, DAG_CBOR), anyDigest)
  .map(([codec, digest]) => CID.createV1(codec, digest))
const anySegments = fc.array(
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter((segment) => !/^\.\.?$/.test(segment) && !/[/\\\0]/.test(segment) && segment.isWellFormed()),
  { maxLength: 4 },
)

test('a CID and its path are the same in every base and through every form of gateway', () => {
  fc.assert(
    fc.property(anyCid, anySegments, (cid, segments) => {
      const below = segments.map((segment) => `/${encodeURIComponent(segment)}`).join('')
      const expected = { cid: cid.toString(), path: segments.join('/') }
      const texts = [base16, base32upper, base36, base58btc, base64url].map((base) => cid.toString(base))
      if (cid.code === DAG_PB) texts.push(CID.createV0(cid.multihash).toString())
      for (const text of [cid.toString(), ...texts]) {
        for (const uri of [`ipfs://${text}${below}`, `/ipfs/${text}${below}`, `ipfs://ipfs/${text}${below}?a#b`]) {
          assertContent(uri, { ...expected, kind: 'ipfs', verdict: 'IMMUTABLE' })
        }
        for (const uri of [
          `https://ipfs.io/ipfs/${text}${below}`,
          `http://127.0.0.1:8080/ipfs/${text}${below}?x=1`,
          `//gateway.example:2053/ipfs/${text}${below}#y`,
          `https://ipfs.io/ipfs/ipfs/${text}${below}`,
          `http://localhost:5001/api/v0/cat?arg=${encodeURIComponent(text + below)}`,
          `https://${text}.ipfs.dweb.link${below}`,
        ]) {
          assertContent(uri, { ...expected, kind: 'ipfs-gateway', verdict: 'IMMUTABLE_VIA_GATEWAY' })
        }
      }
    }),
    { numRuns: 200 },
  )
})

function assertContent(uri: string, expected: { kind: string; verdict: string; cid: string; path: string }): void {
  const { kind, verdict, cid, path } = classifyTokenUri(uri)
  assert.deepEqual({ kind, verdict, cid, path }, expected, uri)
}

test('what was read, written again as a URI, reads the same', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.constantFrom(...rows).map(({ uri }) => uri ?? ''),
        nearUri,
      ),
      (text) => {
        const first = classifyTokenUri(text)
        if (first.verdict === 'UNSAFE' || (first.cid === null && first.name === undefined)) return
        const root = first.cid === null ? `ipns://${first.name}` : `ipfs://${first.cid}`
        const scheme = first.kind === 'ens' ? `ens://${first.name}` : root
        const second = classifyTokenUri(`${scheme}/${first.path.split('/').map(encodeURIComponent).join('/')}`)
        assert.deepEqual([second.cid, second.name, second.path], [first.cid, first.name, first.path], text)
      },
    ),
    { numRuns: 5_000 },
  )
})

test('a key has one name, however it is written', () => {
  fc.assert(
    fc.property(anyDigest, (digest) => {
      const name = CID.createV1(LIBP2P_KEY, digest).toString(base36)
      const key = CID.createV1(LIBP2P_KEY, digest)
      for (const text of [name, key.toString(), key.toString(base58btc), base58btc.encode(digest.bytes).slice(1)]) {
        assert.equal(classifyTokenUri(`ipns://${text}/a`).name, name)
        assert.equal(classifyTokenUri(`https://ipfs.io/ipns/${text}/a`).name, name)
      }
    }),
    { numRuns: 200 },
  )
})

test('an id stands in the URI as 64 digits of hex', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), (id) => {
      const { path } = classifyTokenUri('/ipfs/bafkqaaa/{id}', id)
      assert.match(path, /^[0-9a-f]{64}$/)
      assert.equal(BigInt(`0x${path}`), id)
    }),
  )
})

test('content inside the URI is measured in bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
      const buffer = Buffer.from(bytes)
      const escaped = buffer.toString('hex').replaceAll(/../g, '%$&')
      for (const uri of [
        `data:image/png;base64,${buffer.toString('base64')}`,
        `data:image/png;base64,${buffer.toString('base64url')}`,
        `data:image/png,${escaped}`,
      ]) {
        assert.deepEqual(classifyTokenUri(uri).content, { mediaType: 'image/png', sizeBytes: bytes.length })
      }
    }),
  )
  assert.deepEqual(classifyTokenUri('{"name":"é"}').content, { mediaType: 'application/json', sizeBytes: 13 })
  assert.deepEqual(classifyTokenUri('data:image/svg+xml;utf8,<svg fill="#é"/>').content, {
    mediaType: 'image/svg+xml',
    sizeBytes: 17,
  })
})

test('a bare # may be meant as part of a file name', () => {
  const { path, literalPath } = classifyTokenUri('ipfs://bafkqaaa/My NFT #7.png')
  assert.deepEqual([path, literalPath], ['My NFT ', 'My NFT #7.png'])
  assert.equal(classifyTokenUri('https://ipfs.io/ipfs/bafkqaaa/a#b').literalPath, 'a#b')
  assert.equal(classifyTokenUri('ipfs://bafkqaaa/a?b#c').literalPath, undefined)
  assert.equal(classifyTokenUri('ipfs://bafkqaaa/a#/../b').literalPath, undefined)
})

test('texts longer than a token can answer are named, not read', () => {
  const verdictOf = (text: string): string[] => [classifyTokenUri(text).kind, classifyTokenUri(text).verdict]
  assert.deepEqual(verdictOf(`ipfs://bafkqaaa/${'a'.repeat(MAX_LINK)}`), ['invalid', 'INVALID'])
  assert.deepEqual(verdictOf(`https://example.com/${'a'.repeat(MAX_LINK)}`), ['invalid', 'INVALID'])
  assert.deepEqual(verdictOf(`data:text/plain,${'a'.repeat(MAX_INLINE)}`), ['data', 'UNSUPPORTED'])
  assert.deepEqual(verdictOf(`{"a":"${'a'.repeat(MAX_INLINE)}"}`), ['inline', 'UNSUPPORTED'])
  assert.equal(classifyTokenUri(`ipfs://bafkqaaa/${'{id}'.repeat(4_000)}`, 1n).verdict, 'INVALID')
})

// A reading that takes quadratic time ends at the time limit: at these lengths it takes hours.
test('hostile texts take no longer than to read them once', { timeout: 300_000 }, () => {
  const parts = [
    ' ',
    '\0',
    '\u200b',
    ' x',
    '/',
    'ipfs/',
    'ipfs://',
    '%',
    '%ed%a0%80',
    '{id}',
    '{"a":',
    '[',
    '<svg ',
    '<',
  ]
  for (const part of parts) {
    for (const start of ['', 'ipfs://', 'https://', 'data:', 'data:a/b;base64,', 'data:,', '{', 'ens://', 'eip155:']) {
      for (const length of [MAX_LINK, MAX_INLINE, 4 * MAX_INLINE]) {
        const text = start + part.repeat(Math.floor((length - start.length) / part.length))
        assertSound(classifyTokenUri(text, 1n), start + part)
        assertSound(classifyTokenUri(`${text}!`, 1n), start + part)
      }
    }
  }
  assert.equal(classifyTokenUri(`ipfs://${'a'.repeat(100_000_000)}`).verdict, 'INVALID')
})
