import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { BAD_INPUTS } from '../support/bad-inputs.ts'

const CLUSTER_TESTS = new URL('../cluster/', import.meta.url)

const byText = (a: string, b: string): number => a.localeCompare(b)

test('every row of the table of bad input has one test on a whole cluster', () => {
  const files = readdirSync(CLUSTER_TESTS).filter((name) => name.startsWith('bad-inputs-'))
  const sources = files.map((name) => readFileSync(new URL(name, CLUSTER_TESTS), 'utf8')).join('\n')
  const tested = [...sources.matchAll(/badInput\('([^']+)'/g)].map(([, id]) => id ?? '')
  assert.deepEqual(tested.toSorted(byText), BAD_INPUTS.map(({ id }) => id).toSorted(byText))
})
