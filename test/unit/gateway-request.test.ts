import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { hasCode } from '../../services/core/errors.ts'
import { parseContentPath } from '../../services/gateway/content-path.ts'
import type { Location } from '../../services/gateway/locate.ts'
import { parseRequest } from '../../services/gateway/request.ts'

const CID = 'bafkreiegfkwvkh4ts6qwhpsmrbcb7xjjghj3ljpynrsyu73e2qsfpcuvzi'
const PEER = 'bafzaajaiaejcbzdibmxyzdjbbehgvizh6g5tikvy47mshdy6gwbruvgwvd24seje'

/** The URL on a path gateway. */
function at(url: string): Location {
  const mark = url.includes('?') ? url.indexOf('?') : url.length
  const rawPath = url.slice(0, mark)
  const site = { kind: 'path', scheme: 'http', host: 'gateway.test', class: 'path' } as const
  return { site, rawPath, urlPath: rawPath, rawQuery: url.slice(mark) }
}

function refusal(url: string, headers: Record<string, string> = {}, method = 'GET'): string {
  try {
    parseRequest(method, at(url), headers)
    return 'accepted'
  } catch (error) {
    assert.ok(hasCode(error), String(error))
    return error.code
  }
}

suite('a content path', () => {
  for (const [path, segments] of [
    [`/ipfs/${CID}`, []],
    [`/ipfs/${CID}/`, []],
    [`/ipfs/${CID}/a/b.txt`, ['a', 'b.txt']],
    [`/ipfs/${CID}//a///b`, ['a', 'b']],
    [`/ipfs/${CID}/a/./b/../c`, ['a', 'c']],
    [`/ipfs/${CID}/a%2Fb`, ['a', 'b']],
    [`/ipfs/${CID}/%252e%252e/x`, ['%2e%2e', 'x']],
    [`/ipfs/${CID}/Espa%C3%B1a=1+2`, ['España=1+2']],
    [`/ipfs/${CID}/${Buffer.from('España').toString('latin1')}`, ['España']],
    [`/ipfs/${CID}/a\\b`, ['a\\b']],
  ] as const) {
    test(`${path.slice(66) || '(root)'} is read once decoded`, () => {
      assert.deepEqual(parseContentPath(path).segments, segments)
    })
  }

  for (const [path, code] of [
    [`/ipfs/${CID}/..`, 'BAD_REQUEST'],
    [`/ipfs/${CID}/../../etc/passwd`, 'BAD_REQUEST'],
    [`/ipfs/${CID}/%2e%2e%2f%2e%2e%2fetc/passwd`, 'BAD_REQUEST'],
    [`/ipfs/${CID}/a%00b`, 'BAD_REQUEST'],
    [`/ipfs/${CID}/%`, 'BAD_REQUEST'],
    [`/ipfs/${CID}/%C3`, 'BAD_REQUEST'],
    [`/ipfs/${CID}${'/a'.repeat(257)}`, 'BAD_REQUEST'],
    [`/ipfs//${CID}`, 'INVALID_CID'],
    ['/ipfs/', 'INVALID_CID'],
    ['/ipfs', 'INVALID_CID'],
    ['/ipfs/QmInvalidCID', 'INVALID_CID'],
    [`/ipfs/b${'a'.repeat(100_000)}`, 'INVALID_CID'],
    [`/ipfs/${PEER}`, 'INVALID_CID'],
    ['/', 'NOT_FOUND'],
    ['/etc/passwd', 'NOT_FOUND'],
    [`//ipfs/${CID}`, 'NOT_FOUND'],
    [`/%2Fevil.example/ipfs/${CID}`, 'NOT_FOUND'],
  ] as const) {
    test(`${path.length > 90 ? `${path.slice(0, 24)}… (${path.length})` : path} is refused as ${code}`, () => {
      assert.equal(refusal(path), code)
    })
  }

  test('a CID that is none is named with its path', () => {
    assert.throws(() => parseContentPath('/ipfs/QmInvalidCID'), /invalid path "\/ipfs\/QmInvalidCID"/)
  })

  test('any text either fails as an expected failure or gives segments that stay below the root', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const path = `/ipfs/${CID}/${Buffer.from(text, 'utf8').toString('latin1')}`
        try {
          for (const segment of parseContentPath(path).segments) {
            assert.ok(segment !== '' && segment !== '.' && segment !== '..' && !segment.includes('/'))
          }
        } catch (error) {
          assert.ok(hasCode(error, 'BAD_REQUEST'), String(error))
        }
      }),
    )
  })
})

suite('the format', () => {
  const formatOf = (query: string, accept?: string): string =>
    parseRequest('GET', at(`/ipfs/${CID}${query}`), accept === undefined ? {} : { accept }).format

  for (const [query, accept, format] of [
    ['', undefined, 'auto'],
    ['', '*/*', 'auto'],
    ['', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'html'],
    ['', 'application/vnd.ipld.raw', 'raw'],
    ['', 'application/vnd.ipld.car; version=1; order=dfs; dups=y', 'car'],
    ['', 'application/vnd.ipld.raw;q=0.5, application/vnd.ipld.car', 'car'],
    ['', 'application/json, text/plain, */*', 'json'],
    ['', 'image/avif,image/webp,*/*;q=0.8', 'auto'],
    ['?format=raw', 'application/vnd.ipld.car', 'raw'],
    ['?format=dag-cbor', undefined, 'dag-cbor'],
  ] as const) {
    test(`${query || '(no query)'} with Accept ${accept ?? '(none)'} is ${format}`, () => {
      assert.equal(formatOf(query, accept), format)
    })
  }

  test('one that does not exist is refused', () => {
    assert.equal(refusal(`/ipfs/${CID}?format=unknown`), 'BAD_REQUEST')
    assert.equal(refusal(`/ipfs/${CID}?format=constructor`), 'BAD_REQUEST')
  })
})

suite('CAR parameters', () => {
  const carOf = (query: string, accept?: string): unknown =>
    parseRequest('GET', at(`/ipfs/${CID}?format=car${query}`), accept === undefined ? {} : { accept }).car

  test('default to the whole DAG, each block once', () => {
    assert.deepEqual(carOf(''), { scope: 'all', entityBytes: undefined, duplicates: false })
  })

  test('of Accept hold beside format=car, and those of the URL win', () => {
    const accept = 'application/vnd.ipld.car; dups=y'
    assert.deepEqual(carOf('', accept), { scope: 'all', entityBytes: undefined, duplicates: true })
    assert.deepEqual(carOf('&car-dups=n', accept), { scope: 'all', entityBytes: undefined, duplicates: false })
  })

  test('entity-bytes implies the entity', () => {
    assert.deepEqual(carOf('&entity-bytes=512:-1'), {
      scope: 'entity',
      entityBytes: { from: 512, to: -1 },
      duplicates: false,
    })
  })

  for (const query of ['dag-scope=all&entity-bytes=5:1', 'entity-bytes=x:y', 'entity-bytes=-1:-5', 'dag-scope=tree']) {
    test(`${query} is refused`, () => {
      assert.equal(refusal(`/ipfs/${CID}?format=car&${query}`), 'BAD_REQUEST')
    })
  }

  for (const query of ['car-version=2', 'car-order=bfs', 'car-dups=maybe']) {
    test(`${query} is not offered`, () => {
      assert.equal(refusal(`/ipfs/${CID}?format=car&${query}`), 'NOT_ACCEPTABLE')
    })
  }
})

suite('a request', () => {
  test('of another method is refused', () => {
    assert.equal(refusal(`/ipfs/${CID}`, {}, 'POST'), 'METHOD_NOT_ALLOWED')
  })

  test('that registers a service worker for a whole gateway is refused', () => {
    assert.equal(refusal(`/ipfs/${CID}`, { 'service-worker': 'script' }), 'BAD_REQUEST')
    assert.equal(refusal(`/ipfs/${CID}/sw.js`, { 'service-worker': 'script' }), 'accepted')
  })
})
