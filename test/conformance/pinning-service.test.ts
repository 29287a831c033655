import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi } from '../support/api.ts'
import { addNode } from '../support/node-rows.ts'
import { runSuite } from './pinning-service/suite.ts'

test('the API passes all checks of the Pinning Service API compliance suite', { timeout: 300_000 }, async () => {
  await using api = await openTestApi()
  await addNode(api.db, { name: 'frankfurt-1', region: 'frankfurt' })
  const { output, ...report } = await runSuite(`${api.url}/psa`, api.token)
  assert.deepEqual(report, { total: 9, passed: 9, failed: 0, success: true }, output.slice(-10_000))
})
