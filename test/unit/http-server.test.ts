import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { hasCode } from '../../services/core/errors.ts'
import { healthRoutes } from '../../services/runtime/http/health.ts'
import { httpMetrics, metricsRoute } from '../../services/runtime/http/metrics.ts'
import { pump } from '../../services/runtime/http/pump.ts'
import { EMPTY } from '../../services/runtime/http/route.ts'
import { listen } from '../../services/runtime/http/server.ts'
import { failure, route, serve } from '../support/web.ts'

const neverStopping = new AbortController().signal

test('a port that is taken is a CONFIG error that names the setting', async () => {
  await using first = await serve([])
  const second = listen(() => undefined, { host: '127.0.0.1', port: first.port, settingName: 'HOLDFAST_API_PORT' })
  await assert.rejects(second, (error) => hasCode(error, 'CONFIG') && /HOLDFAST_API_PORT/.test(error.message))
})

test('closing lets the request in flight end, and does not wait for idle connections', async () => {
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
  const { promise: release, resolve: letGo } = Promise.withResolvers<void>()
  const slow = route(
    { method: 'GET', path: '/slow', summary: '', access: 'public', answers: { 202: EMPTY } },
    async () => {
      arrive()
      await release
      return { status: 202 }
    },
  )
  const server = await serve([slow])
  using agent = { agent: new Agent({ keepAlive: true }), [Symbol.dispose]: () => agent.agent.destroy() }
  const request = get(`${server.url}/slow`, { agent: agent.agent })
  const answered = once(request, 'response')
  await arrived
  const closed = server[Symbol.asyncDispose]()
  await assert.rejects(fetch(`${server.url}/slow`))
  letGo()
  const [response] = (await answered) as [import('node:http').IncomingMessage]
  assert.equal(response.statusCode, 202)
  assert.equal(response.headers.connection, 'close')
  response.resume()
  await closed
})

test('one address may hold only so many connections', async () => {
  await using server = await serve([], { limits: { connectionsPerAddress: 2 } })
  const sockets = [connect(server.port, '127.0.0.1'), connect(server.port, '127.0.0.1')]
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  const surplus = connect(server.port, '127.0.0.1')
  surplus.on('error', () => undefined)
  await once(surplus, 'close')
  assert.ok(sockets.every((socket) => !socket.destroyed))
  for (const socket of sockets) socket.destroy()
})

test('readiness tells which check fails, and that the process is stopping; liveness goes on', async () => {
  const stop = new AbortController()
  let broken = false
  const checks = {
    postgres: async () => {
      if (broken) throw new Error('connection refused')
    },
  }
  await using server = await serve(healthRoutes({ checks, stopping: stop.signal }))
  assert.equal((await fetch(`${server.url}/readyz`)).status, 200)
  broken = true
  const unready = await fetch(`${server.url}/readyz`)
  assert.equal(unready.status, 503)
  assert.match((await failure(unready)).details, /postgres is not ready: connection refused/)
  broken = false
  stop.abort()
  assert.match((await failure(await fetch(`${server.url}/readyz`))).details, /stopping/)
  assert.equal((await fetch(`${server.url}/livez`)).status, 200)
})

test('metrics count requests by route template, never by path', async () => {
  const registry = new Registry()
  await using server = await serve([...healthRoutes({ checks: {}, stopping: neverStopping }), metricsRoute(registry)], {
    metrics: httpMetrics(registry),
  })
  await fetch(`${server.url}/livez`)
  await fetch(`${server.url}/secret-name`)
  const text = await (await fetch(`${server.url}/metrics`)).text()
  assert.match(text, /holdfast_http_request_duration_seconds_count\{method="GET",route="\/livez",status="200"\} 1/)
  assert.match(text, /route="none",status="404"\} 1/)
  assert.doesNotMatch(text, /secret-name/)
})

test('a pumped body waits for a slow reader and stops its source when the reader leaves', async () => {
  let made = 0
  let ended = false
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>()
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        made++
        yield new Uint8Array(64 * 1024)
      }
    } finally {
      ended = true
      stop()
    }
  }
  const { promise: full, resolve: fill } = Promise.withResolvers<void>()
  await using server = await listen(
    (_request, response) => {
      response.on('newListener', (event) => event === 'drain' && fill())
      pump(endless(), response).catch(() => undefined)
    },
    { host: '127.0.0.1', port: 0, settingName: 'X' },
  )
  const request = get(server.url)
  request.on('error', () => undefined)
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage]
  response.pause()
  await full
  assert.equal(ended, false)
  assert.ok(made < 1_000, `${made} chunks were made for a reader who took none`)
  request.destroy()
  await stopped
})
