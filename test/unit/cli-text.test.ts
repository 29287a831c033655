import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { contentPath } from '../../services/cli/content-path.ts'
import { CommandError } from '../../services/cli/exit-codes.ts'
import { nearest } from '../../services/core/nearest.ts'
import { aligned, table } from '../../services/cli/output.ts'
import { columnsOf, cutTo, plain } from '../../services/cli/terminal-text.ts'

const terminal = (isTTY: boolean) => ({
  json: false,
  quiet: false,
  stdout: { write() {}, isTTY },
  stderr: { write() {} },
})

test('characters of East Asia take two columns, combining marks none', () => {
  assert.equal(columnsOf('中文'), 4)
  assert.equal(columnsOf('e\u0301'), 1)
  assert.equal(columnsOf('é'), 1)
  assert.equal(columnsOf('👍'), 2)
  assert.equal(
    aligned([
      ['中', 'x'],
      ['abc', 'y'],
    ]),
    '中   x\nabc  y',
  )
})

test('cut text fits', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, columns) => {
      assert.ok(columnsOf(cutTo(text, columns)) <= columns)
    }),
  )
  assert.equal(cutTo('中文中文', 6), '中文…')
  assert.equal(cutTo('abc', 3), 'abc')
})

test('text of others cannot drive the terminal', () => {
  assert.equal(plain('a\nb\u001b[2J\u202e'), 'a\\u{a}b\\u{1b}[2J\\u{202e}')
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => assert.ok(!/\p{Cc}/u.test(plain(text)))))
})

test('rows are aligned under headings for a person, and tab-separated without them for a program', () => {
  const rows = [
    ['a', 'one\ttwo'],
    ['long', 'x'],
  ]
  assert.equal(table(terminal(true), ['H', 'I'], rows), 'H     I\na     one\\u{9}two\nlong  x')
  assert.equal(table(terminal(false), ['H', 'I'], rows), 'a\tone\\u{9}two\nlong\tx')
  assert.equal(table(terminal(true), ['H'], []), '')
})

test('the nearest name is the one with the fewest mistakes, if they are few', () => {
  assert.equal(nearest('polcy', ['pin ls', 'policy', 'status']), 'policy')
  assert.equal(nearest('zzzzzz', ['policy', 'status']), undefined)
})

test('content paths are read in all their forms', () => {
  const path = { root: 'CID', segments: ['a b', 'c'] }
  for (const text of [
    'CID/a b/c',
    '/ipfs/CID/a b/c',
    'ipfs://CID/a%20b/c',
    'IPFS://CID/a%20b/c?x=1#y',
    'ipfs://ipfs/CID/a%20b//c/',
  ])
    assert.deepEqual(contentPath(text), path, text)
  assert.deepEqual(contentPath('CID/100%/a%20b'), { root: 'CID', segments: ['100%', 'a%20b'] })
  for (const text of ['', '/', 'ipfs://', 'ipfs://CID/100%', 'ipns://name', '/ipns/name'])
    assert.throws(() => contentPath(text), CommandError, text)
})
