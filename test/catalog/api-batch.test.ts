import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { failure } from '../support/web.ts'

interface Answer {
  line: number
  pin?: { requestid: string; created: string; pin: { name: string } }
  error?: { reason: string; details: string }
}

const headers = { 'Content-Type': 'application/x-ndjson' }
const cid = rawCid('batch').toString()

async function batch(api: TestApi, lines: string): Promise<Answer[]> {
  const response = await api.send('POST', '/v1/pins:batch', { headers, body: lines })
  assert.equal(response.status, 200)
  const text = await response.text()
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Answer)
}

test('each line is answered in its place, and a wrong one does not stop the others', async () => {
  await using api = await openTestApi()
  const lines = [
    { cid, name: 'a' },
    { cid: 'Qm' },
    { cid, name: 'c', meta: { policy: 'none-such' } },
    { cid, name: 'd' },
  ]
  const answers = await batch(api, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"cid":\n`)
  assert.deepEqual(
    answers.map(({ line, pin, error }) => [line, pin?.pin.name ?? error?.reason]),
    [
      [1, 'a'],
      [2, 'BAD_REQUEST'],
      [3, 'BAD_REQUEST'],
      [4, 'd'],
      [5, 'BAD_REQUEST'],
    ],
  )
})

test('3,000 pins go in by one call and are answered in their order, each with a moment of its own', async () => {
  await using api = await openTestApi()
  const lines = Array.from({ length: 3_000 }, (_, index) => JSON.stringify({ cid, name: `n${index}` }))
  const answers = await batch(api, lines.join('\n'))
  assert.deepEqual(
    answers.map(({ pin }) => pin?.pin.name),
    lines.map((_, index) => `n${index}`),
  )
  const created = answers.map(({ pin }) => pin?.created ?? '')
  assert.equal(new Set(created).size, created.length)
})

test('beyond 10,000 lines those that came first are pinned and the next is refused', async () => {
  await using api = await openTestApi()
  const answers = await batch(api, `${JSON.stringify({ cid })}\n`.repeat(10_001))
  assert.equal(answers.length, 10_001)
  assert.equal(answers.at(-1)?.error?.reason, 'PAYLOAD_TOO_LARGE')
  const { pins } = await api.json<{ pins: number }>('GET', '/v1/usage')
  assert.equal(pins, 10_000)
})

test('a batch of another type is refused', async () => {
  await using api = await openTestApi()
  const response = await api.send('POST', '/v1/pins:batch', { body: [{ cid }] })
  assert.equal(response.status, 415)
  assert.equal((await failure(response)).reason, 'UNSUPPORTED_MEDIA_TYPE')
})
