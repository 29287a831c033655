import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { hasCode } from '../../services/core/errors.ts'
import { parseRanges } from '../../services/gateway/byte-ranges.ts'
import { contentDisposition } from '../../services/gateway/content-disposition.ts'
import { ifRangeHolds, noneMatchNames } from '../../services/gateway/etag.ts'
import { isActive, mediaTypeOf } from '../../services/gateway/media-type.ts'

suite('a Range header over 1,024 bytes', () => {
  const many = `bytes=${Array.from({ length: 10_000 }, (_, index) => `${index * 2}-${index * 2}`).join(',')}`
  for (const [header, expected] of [
    ['bytes=0-0', [{ start: 0, end: 1 }]],
    ['bytes=-1', [{ start: 1_023, end: 1_024 }]],
    ['bytes=-5000', [{ start: 0, end: 1_024 }]],
    ['bytes=1000-', [{ start: 1_000, end: 1_024 }]],
    ['bytes=0-999999', [{ start: 0, end: 1_024 }]],
    [
      'bytes=6-16, 0-4',
      [
        { start: 6, end: 17 },
        { start: 0, end: 5 },
      ],
    ],
    ['bytes=0-0,5000-', [{ start: 0, end: 1 }]],
    ['bytes=5-4', 'whole'],
    ['bytes=abc', 'whole'],
    ['bytes=-', 'whole'],
    ['bytes=', 'whole'],
    ['bytes=+1-2', 'whole'],
    ['lines=0-1', 'whole'],
    ['bytes=0-1023,0-1023', 'whole'],
    [many, 'whole'],
    ['bytes=999999999-', 'unsatisfiable'],
    ['bytes=1024-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=9007199254740993-', 'unsatisfiable'],
    ['bytes=18446744073709551616-18446744073709551617', 'unsatisfiable'],
  ] as const) {
    test(`${header.slice(0, 48)} means ${JSON.stringify(expected)}`, () => {
      if (expected === 'unsatisfiable') {
        assert.throws(
          () => parseRanges(header, 1_024),
          (error) => hasCode(error, 'RANGE_NOT_SATISFIABLE'),
        )
      } else {
        assert.deepEqual(parseRanges(header, 1_024), expected === 'whole' ? undefined : expected)
      }
    })
  }

  test('is exact beyond what doubles count', () => {
    const sizeBytes = Number.MAX_SAFE_INTEGER
    assert.throws(() => parseRanges(`bytes=${sizeBytes}-`, sizeBytes), { code: 'RANGE_NOT_SATISFIABLE' })
    assert.deepEqual(parseRanges(`bytes=${sizeBytes - 1}-${BigInt(sizeBytes) + 2n}`, sizeBytes), [
      { start: sizeBytes - 1, end: sizeBytes },
    ])
  })

  test('of an empty file is never satisfiable', () => {
    assert.throws(() => parseRanges('bytes=0-', 0), { code: 'RANGE_NOT_SATISFIABLE' })
    assert.throws(() => parseRanges('bytes=-1', 0), { code: 'RANGE_NOT_SATISFIABLE' })
  })
})

suite('Content-Disposition', () => {
  for (const [name, expected] of [
    ['a.txt', 'attachment; filename="a.txt"'],
    ['testтест.tar', `attachment; filename="test____.tar"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.tar`],
    ['a"b\\c.txt', 'attachment; filename="c.txt"'],
    ['a"b.txt', `attachment; filename="a_b.txt"; filename*=UTF-8''a%22b.txt`],
    ['../../x', 'attachment; filename="x"'],
    ["it's (1)*.txt", 'attachment; filename="it\'s (1)*.txt"'],
    ['\ud800.txt', `attachment; filename="_.txt"; filename*=UTF-8''%EF%BF%BD.txt`],
  ] as const) {
    test(`names ${JSON.stringify(name)}`, () => {
      assert.equal(contentDisposition('attachment', name), expected)
    })
  }

  test('cannot be broken out of by any name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        assert.match(
          contentDisposition('inline', name),
          /^inline; filename="[^"\\\r\n]*"(; filename\*=UTF-8''[A-Za-z0-9!#$&+.^_`|~%-]*)?$/,
        )
      }),
    )
  })
})

suite('entity tags', () => {
  test('If-None-Match compares lists, weak tags and the wildcard', () => {
    assert.ok(noneMatchNames('"a"', '"a"'))
    assert.ok(noneMatchNames('"x", W/"a"', '"a"'))
    assert.ok(noneMatchNames('*', '"a"'))
    assert.ok(!noneMatchNames('"b"', '"a"'))
    assert.ok(!noneMatchNames(undefined, '"a"'))
  })

  test('If-Range holds for the very tag alone', () => {
    assert.ok(ifRangeHolds(undefined, '"a"'))
    assert.ok(ifRangeHolds('"a"', '"a"'))
    assert.ok(!ifRangeHolds('W/"a"', 'W/"a"'))
    assert.ok(!ifRangeHolds('Tue, 15 Nov 1994 12:45:26 GMT', '"a"'))
  })
})

suite('the media type', () => {
  const typeOf = (content: string | Buffer, name?: string): string =>
    mediaTypeOf(name, Buffer.from(content), Buffer.from(content).length)

  for (const [name, content, type] of [
    ['a.css', '', 'text/css; charset=utf-8'],
    ['index.html', '', 'text/html'],
    ['a.tar.gz', '', 'application/gzip'],
    [undefined, 'plain words', 'text/plain; charset=utf-8'],
    ['README', 'plain words', 'text/plain; charset=utf-8'],
    ['html', '<p>', 'text/plain; charset=utf-8'],
    [undefined, '<!-- hi --> <!DOCTYPE html><p>', 'text/html'],
    [undefined, '<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'],
    [undefined, '{"name":"Nouns #1"}', 'application/json'],
    [undefined, '{not json}', 'text/plain; charset=utf-8'],
    [undefined, Buffer.from('89504e470d0a1a0a0000', 'hex'), 'image/png'],
    [undefined, Buffer.from('ffd8ffe0', 'hex'), 'image/jpeg'],
    [undefined, Buffer.from([0, 1, 2]), 'application/octet-stream'],
    [undefined, '', 'text/plain; charset=utf-8'],
  ] as const) {
    test(`of ${name ?? '(no name)'} with ${JSON.stringify(content.toString('latin1' as never).slice(0, 30))} is ${type}`, () => {
      assert.equal(typeOf(content, name), type)
    })
  }

  test('a character cut by the end of what is looked at leaves it text', () => {
    const text = Buffer.from(`${'a'.repeat(511)}é and more`)
    assert.equal(mediaTypeOf(undefined, text, text.length), 'text/plain; charset=utf-8')
  })

  test('what can run in a browser is told from what cannot', () => {
    for (const type of [
      'text/html',
      'image/svg+xml',
      'application/xhtml+xml',
      'multipart/related',
      'text/javascript',
    ]) {
      assert.ok(isActive(type), type)
    }
    for (const type of ['image/png', 'text/plain; charset=utf-8', 'video/mp4', 'application/pdf', 'application/json']) {
      assert.ok(!isActive(type), type)
    }
  })
})
