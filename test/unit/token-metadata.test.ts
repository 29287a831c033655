import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { jsonStrings } from '../../services/core/token-metadata/json-strings.ts'
import {
  MAX_METADATA_BYTES,
  readMetadata,
  type Metadata,
  type MetadataProblem,
} from '../../services/core/token-metadata/metadata.ts'
import { classifyTokenUri } from '../../services/core/token-uri/classify.ts'
import { inlineContent } from '../../services/core/token-uri/inline-content.ts'

const CID = 'bafybeidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u'
const MANY = Array.from({ length: 5_000 }, (_, index) => index)

const read = (value: unknown, id?: bigint): Metadata => {
  const metadata = readMetadata(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), id)
  assert.ok(!('problem' in metadata), JSON.stringify(metadata))
  return metadata
}

/** Files that somebody may put behind a token to hurt who reads it. */
const HOSTILE: readonly [name: string, file: string | Buffer, problem: MetadataProblem][] = [
  ['nothing', '', 'NOT_JSON'],
  ['a page', '<!doctype html><html></html>', 'NOT_JSON'],
  ['an image', Buffer.from('89504e470d0a1a0a', 'hex'), 'NOT_UTF8'],
  ['a half file', '{"image":"ipfs://', 'NOT_JSON'],
  ['text behind the end', '{} {}', 'NOT_JSON'],
  ['more ends than beginnings', '{}]', 'NOT_JSON'],
  ['a list', '[]', 'NO_OBJECT'],
  ['a string', '"ipfs://x"', 'NO_OBJECT'],
  ['a key twice', `{"image":"ipfs://${CID}/1","image":"ipfs://${CID}/2"}`, 'DUPLICATE_KEY'],
  ['a key twice, once escaped', '{"image":1,"\\u0069mage":2}', 'DUPLICATE_KEY'],
  ['a key twice, deep', '{"a":[{"b":{"c":1,"c":2}}]}', 'DUPLICATE_KEY'],
  ['a million beginnings', '['.repeat(1_000_000), 'TOO_DEEP'],
  ['33 levels', `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`, 'TOO_DEEP'],
  ['5,000 values', JSON.stringify({ list: MANY }), 'TOO_MANY_NODES'],
  ['5,000 keys', JSON.stringify(Object.fromEntries(MANY.map((key) => [`k${key}`, 1]))), 'TOO_MANY_NODES'],
  [
    '300 links',
    JSON.stringify({ files: MANY.slice(0, 300).map((id) => ({ uri: `ipfs://${CID}/${id}` })) }),
    'TOO_MANY_LINKS',
  ],
  ['more than 1 MiB', Buffer.alloc(MAX_METADATA_BYTES + 1, ' '), 'TOO_LARGE'],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'NOT_UTF8'],
  ['bare words', '{image:1}', 'NOT_JSON'],
  ['a control character', '{"a":"\u0001"}', 'NOT_JSON'],
]

suite('hostile metadata', () => {
  for (const [name, file, problem] of HOSTILE) {
    test(`${name}: ${problem}`, () => assert.deepEqual(readMetadata(Buffer.from(file)), { problem }))
  }

  test('keys that mean something to programs are only keys', () => {
    const { links } = read(
      `{"__proto__":{"image":"ipfs://${CID}/1"},"constructor":{"prototype":{"image":"ipfs://${CID}"}}}`,
    )
    assert.deepEqual(
      links.map(({ pointer }) => pointer),
      ['/__proto__/image', '/constructor/prototype/image'],
    )
    assert.equal(({} as Record<string, unknown>)['image'], undefined)
  })

  test('is read or refused, and never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.string().map((text) => Buffer.from(text)),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          readMetadata(bytes, 1n)
        },
      ),
    )
  })
})

suite('the strings of JSON', () => {
  test('are those that a parser finds, in their order, unless a key is there twice', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const found = jsonStrings(JSON.stringify(value, undefined, 1))
        assert.ok('strings' in found)
        assert.deepEqual(
          found.strings.map((string) => string.value),
          stringsIn(value),
        )
        for (const { path, value: string } of found.strings) {
          const there = path.reduce((at: unknown, step) => (at as Record<string, unknown>)[step], value)
          assert.equal(there, string)
        }
      }),
    )
  })
})

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsIn) : []
}

suite('links of metadata', () => {
  test('have the role of their place', () => {
    const uri = `ipfs://${CID}/a`
    const { links } = read({
      name: 'vitalik.eth',
      description: `See ipfs://${CID} for more`,
      image: uri,
      image_data: '<svg xmlns="http://www.w3.org/2000/svg"/>',
      animation_url: 'https://example.com/a.mp4',
      external_url: 'https://example.com/1',
      properties: { files: [{ uri, type: 'image/png' }], preview_image: uri },
      attributes: [{ trait_type: 'site', value: 'https://example.com' }, { value: `ipfs://${CID}/b` }],
      content: { mime: 'text/html', uri: 'ar://abc' },
    })
    assert.deepEqual(
      links.map(({ role, pointer, names }) => [role, pointer, names.verdict]),
      [
        ['image', '/image', 'IMMUTABLE'],
        ['image', '/image_data', 'ON_CHAIN'],
        ['animation', '/animation_url', 'CENTRALISED'],
        ['file', '/properties/files/0/uri', 'IMMUTABLE'],
        ['image', '/properties/preview_image', 'IMMUTABLE'],
        ['other', '/attributes/1/value', 'IMMUTABLE'],
        ['file', '/content/uri', links.at(-1)?.names.verdict],
      ],
    )
  })

  test('of ERC-1155 have the id in the place of {id}, and the default language in that of {locale}', () => {
    const { links } = read(
      {
        image: `ipfs://${CID}/{id}.png`,
        localization: { uri: `ipfs://${CID}/{locale}.json`, default: 'de', locales: ['de', 'fr'] },
      },
      26n,
    )
    assert.deepEqual(
      links.map(({ names }) => names.path),
      [`${'0'.repeat(62)}1a.png`, 'de.json'],
    )
  })

  test('say which hash an image must have', () => {
    const sha256 = 'AB'.repeat(32)
    assert.equal(read({ image_details: { sha256, bytes: 3 } }).imageSha256, sha256.toLowerCase())
    assert.equal(read({ image_details: { sha256: 'short' } }).imageSha256, undefined)
  })
})

suite('content in a URI', () => {
  const CONTENT: readonly [uri: string, bytes: Buffer][] = [
    ['data:application/json;base64,eyJhIjoxfQ==', Buffer.from('{"a":1}')],
    ['data:application/json;base64,eyJhIjoxfQ', Buffer.from('{"a":1}')],
    ['data:application/json;utf8,{"a":"100%"}', Buffer.from('{"a":"100%"}')],
    ['data:,%7B%22a%22%3A1%7D', Buffer.from('{"a":1}')],
    ['data:;charset=utf-8,%ff%41', Buffer.from([0xff, 0x41])],
    ['\u0000 {"a":1}\u0000', Buffer.from('{"a":1}')],
  ]
  for (const [uri, bytes] of CONTENT) {
    test(`is read: ${JSON.stringify(uri)}`, () => assert.deepEqual(Buffer.from(inlineContent(uri)), bytes))
  }

  test('has as many bytes as the classifier counts', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 50 }), fc.boolean(), (text, isBase64) => {
        const uri = isBase64
          ? `data:text/plain;base64,${Buffer.from(text).toString('base64')}`
          : `data:text/plain,${encodeURIComponent(text.toWellFormed())}`
        const counted = classifyTokenUri(uri).content?.sizeBytes ?? 0
        assert.equal(inlineContent(uri).length, counted)
      }),
    )
  })
})
