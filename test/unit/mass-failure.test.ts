import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Liveness, StorageNode } from '../../services/core/node.ts'
import { isMassFailure } from '../../services/scheduler/brake.ts'

interface Seen {
  state: StorageNode['state']
  liveness: Liveness
  isLost: boolean
  labels: Record<string, string>
}

/** One letter a node, upper case when it is down; the letter is its region. */
function cluster(letters: string, over: Partial<Seen> = {}): Seen[] {
  return Array.from(letters, (letter): Seen => {
    const isDown = letter !== letter.toLowerCase()
    return {
      state: 'active',
      liveness: isDown ? 'down' : 'up',
      isLost: false,
      labels: { region: letter.toLowerCase() },
      ...(isDown ? over : {}),
    }
  })
}

test('one node of three is an ordinary death, two are not', () => {
  assert.equal(isMassFailure(cluster('Abc')), false)
  assert.equal(isMassFailure(cluster('ABc')), true)
})

test('of larger clusters a quarter may die at once', () => {
  assert.equal(isMassFailure(cluster('Abcd')), false)
  assert.equal(isMassFailure(cluster('ABcdefgh')), false)
  assert.equal(isMassFailure(cluster('ABCdefgh')), true)
})

test('a whole region of several nodes is a mass failure, however small its share', () => {
  assert.equal(isMassFailure(cluster('AAbbccddee')), true)
  assert.equal(isMassFailure(cluster('Aabbccddee')), false)
  assert.equal(isMassFailure(cluster('AAaaaaaaaa')), false)
})

test('nodes that died long ago, or that an operator drains, do not count', () => {
  assert.equal(isMassFailure(cluster('ABCdefg', { isLost: true })), false)
  assert.equal(isMassFailure(cluster('ABCdefg', { state: 'draining' })), false)
  assert.equal(isMassFailure([...cluster('AB', { isLost: true }), ...cluster('CDefgh')]), true)
})

test('nodes that fail together are not found dead together: silent ones count with the first that is dead', () => {
  const silent = cluster('BC').map((seen): Seen => ({ ...seen, liveness: 'suspect' }))
  assert.equal(isMassFailure([...silent, ...cluster('adefgh')]), false)
  assert.equal(isMassFailure([...silent, ...cluster('Adefgh')]), true)
})

test('a cluster without dead nodes has no mass failure', () => {
  assert.equal(isMassFailure([]), false)
  assert.equal(isMassFailure(cluster('abc')), false)
})
