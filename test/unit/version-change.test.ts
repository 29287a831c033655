import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changeOf, type PresentVersion } from '../../services/core/guard/version-change.ts'

const [A, B] = [Buffer.from('a'), Buffer.from('b')]
const present: PresentVersion = { uri: A, extensions: null, fromBlock: 10n, isOrphan: false }

const CASES: [
  what: string,
  before: PresentVersion | undefined,
  uri: Uint8Array | null,
  block: bigint,
  change: string,
][] = [
  ['a token that was not known', undefined, A, 1n, 'first'],
  ['a token that was not known, and tells nothing', undefined, null, 1n, 'none'],
  ['the same', present, A, 11n, 'none'],
  ['something else', present, B, 11n, 'replace'],
  ['nothing any more', present, null, 11n, 'replace'],
  ['something again', { ...present, uri: null }, B, 11n, 'replace'],
  ['something else at a block before', present, B, 9n, 'none'],
  ['something else at a block before, after a reorganisation', { ...present, isOrphan: true }, B, 9n, 'replace'],
  ['the same after a reorganisation', { ...present, isOrphan: true }, A, 9n, 'confirm'],
]

for (const [what, before, uri, block, change] of CASES) {
  test(`${what}: ${change}`, () => assert.equal(changeOf(before, { uri, extensions: null, block }), change))
}

test('the same, of which the contract says something else: replace, where it could be looked at', () => {
  assert.equal(changeOf(present, { uri: A, extensions: '{}', block: 11n }), 'replace')
  assert.equal(changeOf(present, { uri: A, extensions: undefined, block: 11n }), 'none')
})
