import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { z } from 'zod'
import { hasCode } from '../../services/core/errors.ts'
import { parseLines } from '../../services/runtime/http/ndjson.ts'
import { lines, linesAnswer, type Line } from '../../services/runtime/http/route.ts'
import { failure, route, serve } from '../support/web.ts'

const Value = z.object({ n: z.number() })
const limits = { schema: Value, maxLineBytes: 64, maxLines: 100 }

async function* cut(text: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (const size of sizes) {
    yield text.subarray(at, at + size)
    at += size
  }
  yield text.subarray(at)
}

test('lines are the same however the body is cut into chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer(), { maxLength: 20 }),
      fc.array(fc.nat(12), { maxLength: 30 }),
      fc.boolean(),
      async (numbers, sizes, ended) => {
        const text = numbers.map((n) => JSON.stringify({ n })).join('\r\n') + (ended ? '\n' : '')
        const seen = await Array.fromAsync(parseLines(cut(Buffer.from(text), sizes), limits))
        assert.deepEqual(
          seen.map((line) => 'value' in line && line.value.n),
          numbers,
        )
      },
    ),
  )
})

test('a wrong line is an error in its place, and the others stand', async () => {
  const text = Buffer.from('{"n":1}\n{"n":\n\n{"n":"2"}\n{"n":3}')
  const seen = await Array.fromAsync(parseLines(cut(text, []), limits))
  const told = seen.map((line) => [line.line, 'value' in line ? line.value.n : line.error.code])
  assert.deepEqual(told, [
    [1, 1],
    [2, 'BAD_REQUEST'],
    [4, 'BAD_REQUEST'],
    [5, 3],
  ])
})

test('a line that never ends is refused before it is held', async () => {
  const text = Buffer.alloc(1_000, 'x')
  const reading = Array.fromAsync(parseLines(cut(text, [40, 40, 40]), limits))
  await assert.rejects(reading, (error) => hasCode(error, 'PAYLOAD_TOO_LARGE'))
})

const double = route(
  {
    method: 'POST',
    path: '/double',
    summary: '',
    access: 'public',
    body: lines(Value, { maxLines: 3 }),
    answers: { 200: linesAnswer(Value) },
  },
  async ({ body }) => ({ status: 200, body: doubled(body) }),
)

async function* doubled(values: AsyncIterable<Line<z.output<typeof Value>>>): AsyncGenerator<z.input<typeof Value>> {
  for await (const line of values) if ('value' in line) yield { n: line.value.n * 2 }
}

test('NDJSON goes in and comes out', async () => {
  await using server = await serve([double])
  const answer = await fetch(`${server.url}/double`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-ndjson' },
    body: '{"n":1}\n{"n":2}\n',
  })
  assert.equal(answer.headers.get('content-type'), 'application/x-ndjson')
  assert.equal(await answer.text(), '{"n":2}\n{"n":4}\n')
})

test('a body of another type is refused before anything is answered', async () => {
  await using server = await serve([double])
  const answer = await fetch(`${server.url}/double`, {
    method: 'POST',
    headers: { 'Content-Type': 'text/csv' },
    body: '1',
  })
  assert.equal(answer.status, 415)
  assert.equal((await failure(answer)).reason, 'UNSUPPORTED_MEDIA_TYPE')
})

test('too many lines cut the answer, so that a part is not taken for the whole', async () => {
  await using server = await serve([double])
  const sent = fetch(`${server.url}/double`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-ndjson' },
    body: '{"n":1}\n'.repeat(4),
  })
  await assert.rejects(sent.then((answer) => answer.text()))
})
