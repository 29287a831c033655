import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { HoldfastError } from '../../services/core/errors.ts'
import { KIB } from '../../services/core/units.ts'
import { EMPTY, json } from '../../services/runtime/http/route.ts'
import { failure, memoryLog, route, sendRaw, serve } from '../support/web.ts'

const Thing = z.object({ size: z.number().int() })

const routes = [
  route(
    {
      method: 'GET',
      path: '/things/{id}',
      summary: 'One',
      access: 'public',
      params: z.object({ id: z.uuid() }),
      answers: { 200: Thing },
    },
    async () => ({ status: 200, body: { size: 1 } }),
  ),
  route(
    {
      method: 'PUT',
      path: '/things/{id}',
      summary: 'Make',
      access: 'public',
      params: z.object({ id: z.uuid() }),
      body: json(Thing, { maxBytes: KIB }),
      answers: { 200: Thing },
    },
    async ({ body }) => ({ status: 200, body }),
  ),
  route(
    {
      method: 'POST',
      path: '/things',
      summary: 'Add',
      access: 'public',
      body: json(Thing, { maxBytes: KIB }),
      query: z.object({ max: z.coerce.number().max(9).optional() }),
      answers: { 202: EMPTY },
    },
    async () => ({ status: 202 }),
  ),
  route(
    {
      method: 'POST',
      path: '/things:break',
      summary: 'Break',
      access: 'public',
      query: z.object({ how: z.string() }),
      answers: { 202: EMPTY },
    },
    async ({ query }) => {
      if (query.how === 'busy') throw new HoldfastError('UNAVAILABLE', 'Not now.', { retryAfterSeconds: 7 })
      throw new Error('the password is swordfish')
    },
  ),
]

test('what a route declares is what it answers', async () => {
  await using server = await serve(routes)
  const answer = await fetch(`${server.url}/things/4f4cd3b4-4ac9-4d5c-8d6b-6a4a5e1a9d6c`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: '{"size":3}',
  })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8')
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  assert.deepEqual(await answer.json(), { size: 3 })
})

test('an answer without a body has none', async () => {
  await using server = await serve(routes)
  const answer = await fetch(`${server.url}/things`, {
    method: 'POST',
    body: '{"size":1}',
    headers: { 'Content-Type': 'application/json' },
  })
  assert.equal(answer.status, 202)
  assert.equal(await answer.text(), '')
})

const refused: {
  title: string
  method?: string
  path: string
  type?: string
  body?: string
  headers?: Record<string, string>
  status: number
  reason: string
  details?: RegExp
}[] = [
  { title: 'an unknown path', path: '/nothing', status: 404, reason: 'NOT_FOUND' },
  { title: 'a path that differs in case', path: '/Things/x', status: 404, reason: 'NOT_FOUND' },
  { title: 'a path id of the wrong form', path: '/things/7', status: 404, reason: 'NOT_FOUND' },
  {
    title: 'a name that PUT cannot make',
    method: 'PUT',
    path: '/things/7',
    body: '{"size":1}',
    status: 400,
    reason: 'BAD_REQUEST',
    details: /^id: /,
  },
  { title: 'a malformed escape in the path', path: '/things/%ff%', status: 404, reason: 'NOT_FOUND' },
  {
    title: 'a method that is not there',
    method: 'DELETE',
    path: '/things',
    status: 405,
    reason: 'METHOD_NOT_ALLOWED',
    details: /DELETE .*POST/,
  },
  { title: 'no body', method: 'POST', path: '/things', status: 400, reason: 'BAD_REQUEST', details: /no body/ },
  {
    title: 'a body that is no JSON',
    method: 'POST',
    path: '/things',
    body: '{"size":',
    status: 400,
    reason: 'BAD_REQUEST',
    details: /JSON/,
  },
  {
    title: 'a field of the wrong type',
    method: 'POST',
    path: '/things',
    body: '{"size":"3"}',
    status: 400,
    reason: 'BAD_REQUEST',
    details: /^size: /,
  },
  {
    title: 'a query value out of range',
    method: 'POST',
    path: '/things?max=10',
    body: '{"size":3}',
    status: 400,
    reason: 'BAD_REQUEST',
    details: /^max: /,
  },
  {
    title: 'a repeated query parameter',
    method: 'POST',
    path: '/things?max=1&max=2',
    body: '{"size":3}',
    status: 400,
    reason: 'BAD_REQUEST',
    details: /^max: /,
  },
  {
    title: 'a body of another type',
    method: 'POST',
    path: '/things',
    type: 'text/xml',
    body: '<size/>',
    status: 415,
    reason: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    title: 'a compressed body',
    method: 'POST',
    path: '/things',
    body: 'x',
    headers: { 'Content-Encoding': 'gzip' },
    status: 415,
    reason: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    title: 'a body over the limit',
    method: 'POST',
    path: '/things',
    body: `{"size":1${' '.repeat(2 * KIB)}}`,
    status: 413,
    reason: 'PAYLOAD_TOO_LARGE',
  },
  {
    title: 'a failure that passes',
    method: 'POST',
    path: '/things:break?how=busy',
    status: 503,
    reason: 'UNAVAILABLE',
  },
]

for (const {
  title,
  method = 'GET',
  path,
  type = 'application/json',
  body,
  headers,
  status,
  reason,
  details = /./,
} of refused) {
  test(`${title} is answered ${status} ${reason}`, async () => {
    await using server = await serve(routes)
    const init = body === undefined ? {} : { body, headers: { 'Content-Type': type, ...headers } }
    const answer = await fetch(server.url + path, { method, ...init })
    const { reason: seen, details: sentence } = await failure(answer)
    assert.equal(answer.status, status)
    assert.equal(seen, reason)
    assert.match(sentence, details)
  })
}

test('405 lists what is allowed, 503 says when to come back', async () => {
  await using server = await serve(routes)
  const wrongMethod = await fetch(`${server.url}/things`)
  assert.equal(wrongMethod.headers.get('allow'), 'POST, OPTIONS')
  const busy = await fetch(`${server.url}/things:break?how=busy`, { method: 'POST' })
  assert.equal(busy.headers.get('retry-after'), '7')
})

test('a defect tells the client only the request id, and the log the rest', async () => {
  const { log, lines, text } = memoryLog()
  await using server = await serve(routes, { log })
  const answer = await fetch(`${server.url}/things:break?how=badly`, {
    method: 'POST',
    headers: { 'X-Request-Id': 'my-request-1' },
  })
  assert.equal(answer.status, 500)
  const { reason, details } = await failure(answer)
  assert.equal(reason, 'INTERNAL_ERROR')
  assert.match(details, /my-request-1/)
  assert.doesNotMatch(details, /swordfish/)
  assert.ok(lines.some((line) => line.requestId === 'my-request-1' && line.msg.includes('unexpectedly')))
  assert.match(text(), /swordfish/)
  assert.doesNotMatch(text(), /how=badly/)
})

test('a body over the limit is refused while it is still being sent', async () => {
  await using server = await serve(routes)
  const head = `POST /things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
  const chunk = `800\r\n${'x'.repeat(0x800)}\r\n`
  const received = await sendRaw(server.port, head + chunk)
  assert.match(received, /^HTTP\/1\.1 413 /)
  assert.match(received, /Connection: close/i)
  assert.match(received, /"PAYLOAD_TOO_LARGE"/)
})

test('a request that is no HTTP is refused in the same shape', async () => {
  await using server = await serve(routes)
  const received = await sendRaw(server.port, 'HELLO\r\n\r\n')
  assert.match(received, /^HTTP\/1\.1 400 [\s\S]*"error":\{"reason":"BAD_REQUEST"/)
})

test('headers over 16 KiB are refused', async () => {
  await using server = await serve(routes)
  const received = await sendRaw(
    server.port,
    `GET /things HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(17 * KIB)}\r\n\r\n`,
  )
  assert.match(received, /^HTTP\/1\.1 431 [\s\S]*"BAD_REQUEST"/)
})

test('pages of other origins may ask, and read what they need to', async () => {
  await using server = await serve(routes, { crossOrigin: true })
  const preflight = await fetch(`${server.url}/things`, {
    method: 'OPTIONS',
    headers: { Origin: 'https://dapp.example', 'Access-Control-Request-Method': 'POST' },
  })
  assert.equal(preflight.status, 204)
  assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /Authorization/)
  const answer = await fetch(`${server.url}/nothing`, { headers: { Origin: 'https://dapp.example' } })
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  assert.match(answer.headers.get('access-control-expose-headers') ?? '', /X-RateLimit-Reset/)
})

test('an answer or a status that is not declared does not compile', () => {
  const spec = { method: 'GET', path: '/x', summary: '', access: 'public', answers: { 200: Thing } } as const
  route(spec, async () => ({ status: 200, body: { size: 1 } }))
  // @ts-expect-error 201 is not declared
  route(spec, async () => ({ status: 201, body: { size: 1 } }))
  // @ts-expect-error the body has another shape
  route(spec, async () => ({ status: 200, body: { size: 'large' } }))
  // @ts-expect-error there is no such query parameter
  route(spec, async ({ query }) => ({ status: 200, body: { size: query.size } }))
  // @ts-expect-error there is no such scope
  route({ ...spec, access: 'everything' }, async () => ({ status: 200, body: { size: 1 } }))
  assert.ok(true)
})
