import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { blake3 } from '@noble/hashes/blake3.js'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { Denylist } from '../../services/core/denylist.ts'
import { Denylists } from '../../services/core/denylists.ts'
import { DigestTable } from '../../services/core/digest-table.ts'

function listOf(text: string, status?: 410 | 451): Denylist {
  const list = new Denylist('test', status)
  for (const line of text.split('\n')) list.add(line)
  list.end()
  return list
}

const VECTORS = listOf(await readFile(new URL('../fixtures/denylists/nopfs.deny', import.meta.url), 'utf8'))

function isDenied(list: Denylist, contentPath: string): boolean {
  const [, namespace, root = '', ...rest] = contentPath.split('/')
  const segments = rest.filter((segment) => segment !== '')
  const lists = new Denylists([list])
  if (namespace === 'ipns') return lists.name(root, segments) !== undefined
  return lists.content(CID.parse(root), segments) !== undefined
}

const DENIED = [
  '/ipfs/bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq',
  '/ipfs/bafkreihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq',
  '/ipfs/QmesfgDQ3q6prBy2Kg2gKbW4MAGuWiRP2DVuGA5MZSERLo',
  '/ipfs/QmdWFA9FL52hx3j9EJZPQP1ZUH8Ygi5tLCX2cRDs6knSf8',
  '/ipfs/QmdWFA9FL52hx3j9EJZPQP1ZUH8Ygi5tLCX2cRDs6knSf8/a/b',
  '/ipfs/QmdWFA9FL52hx3j9EJZPQP1ZUH8Ygi5tLCX2cRDs6knSf8/z/',
  '/ipfs/Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2/test',
  '/ipfs/Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2/test2',
  '/ipfs/Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2/test/one',
  '/ipfs/QmTuvSQbEDR3sarFAN9kAeXBpiBCyYYNxdxciazBba11eC/test',
  '/ipfs/QmTuvSQbEDR3sarFAN9kAeXBpiBCyYYNxdxciazBba11eC/test2',
  '/ipfs/QmTuvSQbEDR3sarFAN9kAeXBpiBCyYYNxdxciazBba11eC/test/one',
  '/ipfs/QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK/blocked',
  '/ipfs/QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK/blocked2',
  '/ipns/domain.example',
  '/ipns/domain-example',
  '/ipns/domain2.example/path',
  '/ipns/k51qzi5uqu5dhmzyv3zac033i7rl9hkgczxyl81lwoukda2htteop7d3x0y1mf',
  '/ipns/bafzaajaiaejcaotjfs57kieazxny5japcmy5p2pgv2cic77tu6ogghttvurnrufx',
  '/ipns/12D3KooWDkNqEJNmreF3NYYFK1ws7Ra2fuW6cHBTu567SPV3LdYA',
  '/ipfs/bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e/',
  '/ipfs/bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e',
  '/ipfs/bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e/path',
  '/ipfs/bafybeidjwik6im54nrpfg7osdvmx7zojl5oaxqel5cmsz46iuelwf5acja',
  '/ipfs/QmVTF1yEejXd9iMgoRTFDxBv7HAz9kuZcQNBzHrceuK9HR',
  '/ipfs/bafyb4ieqht3b2rssdmc7sjv2cy2gfdilxkfh7623nvndziyqnawkmo266a/path',
]

const ALLOWED = [
  '/ipfs/bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq/sub2',
  '/ipfs/Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2/tes',
  '/ipfs/Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2',
  '/ipfs/Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2/one/test',
  '/ipfs/QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK/blockednot',
  '/ipfs/QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK/blocked/not',
  '/ipfs/QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK/blocked/exceptions',
  '/ipfs/QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK/blocked/exceptions2',
  '/ipfs/QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK/blocked/exceptions/one',
  '/ipns/domainaefa.example',
  '/ipns/domain.example/path',
  '/ipns/domain--example',
  '/ipns/domain2.example',
  '/ipns/domain2.example/path2',
  '/ipns/12D3KooWDkNqEJNmreF3NYYFK1ws7Ra2fuW6cHBTu567SPV3LdYA/path',
  '/ipfs/bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e/path2',
  '/ipfs/bafyb4ieqht3b2rssdmc7sjv2cy2gfdilxkfh7623nvndziyqnawkmo266a/',
  '/ipfs/bafyb4ieqht3b2rssdmc7sjv2cy2gfdilxkfh7623nvndziyqnawkmo266a/path2',
]

test('the vectors of IPIP-383 that are to be denied are', () => {
  for (const path of DENIED) assert.ok(isDenied(VECTORS, path), path)
})

test('the vectors of IPIP-383 that are to be allowed are', () => {
  for (const path of ALLOWED) assert.ok(!isDenied(VECTORS, path), path)
})

test('every line of the vectors is a rule', () => {
  assert.equal(VECTORS.skipped, 0)
  assert.equal(VECTORS.rules, 15)
})

test('the empty file and the empty directory are never denied', () => {
  const empty = 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH'
  assert.ok(!isDenied(listOf(`/ipfs/${empty}`), `/ipfs/${empty}`))
})

const SOME = CID.parse('bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4')

test('a hash of the older form denies the content under every codec', () => {
  const list = listOf(`//${createHash('sha256').update(`${SOME.toString()}/`).digest('hex')}`)
  assert.ok(list.content(SOME, []))
  assert.ok(list.content(CID.createV0(SOME.multihash as never), []))
})

test('double hashes may be made with blake3', () => {
  const text = `${base58btc.baseEncode(SOME.multihash.bytes)}/path`
  const rule = `//${base58btc.baseEncode(create(0x1e, blake3(Buffer.from(text))).bytes)}`
  assert.ok(listOf(rule).content(SOME, ['path']))
  assert.equal(listOf(rule).content(SOME, []), undefined)
})

test('the status is that of the line, else of the header, else of the list', () => {
  const rule = `/ipfs/${SOME.toString()}`
  const header = 'version: 1\nhints:\n  gateway_status: "451"\n---\n'
  assert.equal(listOf(rule).content(SOME, [])?.status, 410)
  assert.equal(listOf(rule, 451).content(SOME, [])?.status, 451)
  assert.equal(listOf(header + rule).content(SOME, [])?.status, 451)
  assert.equal(listOf(`${header}${rule} gateway_status=410`).content(SOME, [])?.status, 410)
})

test('the last rule that matches decides', () => {
  const rule = `/ipfs/${SOME.toString()}`
  assert.equal(listOf(`${rule}\n!${rule}`).content(SOME, []), undefined)
  assert.ok(listOf(`!${rule}\n${rule}/*`).content(SOME, []))
  assert.equal(listOf(`${rule}/*\n!${rule}`).content(SOME, []), undefined)
  assert.ok(listOf(`${rule}/*\n!${rule}`).content(SOME, ['below']))
})

test('percent-encoded paths are compared decoded, and an encoded star is a star', () => {
  const list = listOf(`/ipfs/${SOME.toString()}/caf%C3%A9%20au%20lait\n/ipfs/${SOME.toString()}/a%2A`)
  assert.ok(list.content(SOME, ['café au lait']))
  assert.ok(list.content(SOME, ['a*']))
  assert.equal(list.content(SOME, ['ab']), undefined)
})

test('a header of another version is refused', () => {
  assert.throws(() => listOf('version: 2\n---\n'), { code: 'BAD_REQUEST' })
})

test('a list without a header, with comments, CRLF and rubbish keeps its rules', () => {
  const list = listOf(`# a comment\r\n/ipfs/${SOME.toString()}\r\n\r\nrubbish\r\n/ipfs/!!!\r\n`)
  assert.ok(list.content(SOME, []))
  assert.equal(list.skipped, 2)
})

test('no line makes the parser throw', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }).filter((line) => line.trimEnd() !== '---')), (lines) => {
      listOf(['---', ...lines].join('\n'))
    }),
  )
})

test('a table of digests is a map', () => {
  const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
  fc.assert(
    fc.property(fc.array(fc.tuple(digest, fc.nat())), digest, (entries, other) => {
      const table = new DigestTable()
      const map = new Map<string, number>()
      for (const [key, value] of entries) {
        table.set(key, value)
        map.set(Buffer.from(key).toString('hex'), value)
      }
      assert.equal(table.size, map.size)
      for (const [key, value] of map) assert.equal(table.get(Buffer.from(key, 'hex')), value)
      assert.equal(table.get(other), map.get(Buffer.from(other).toString('hex')))
    }),
  )
})

test('half a million double hashes take less than 50 MiB', () => {
  const list = new Denylist('badbits')
  list.add('---')
  for (let index = 0; index < 500_000; index++)
    list.add(`//${createHash('sha256').update(String(index)).digest('hex')}`)
  assert.equal(list.rules, 500_000)
  assert.ok(list.memoryBytes < 50 * 1_024 * 1_024, `${list.memoryBytes} bytes`)
})
