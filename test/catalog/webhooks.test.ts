import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { raiseEvent } from '../../services/catalog/events.ts'
import { sealWith } from '../../services/catalog/sealed-secret.ts'
import { EVENTS } from '../../services/catalog/wake.ts'
import { takeWebhook } from '../../services/catalog/webhooks-work.ts'
import type { AddressLookup } from '../../services/core/public-address.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { isSigned, raise, receive, runNotifier } from '../support/notifier.ts'
import { until } from '../support/until.ts'
import { failure } from '../support/web.ts'

interface Webhook {
  id: string
  secret: string
  types: string[] | null
  disabled: { reason: string } | null
  failingSince: string | null
  waiting: number
}

interface Delivery {
  event: { id: string; type: string; subject: string }
  status: string
  attempts: number
  nextAt: string | null
  httpStatus: number | null
  error: string | null
}

function make(api: TestApi, url: string, types?: string[]): Promise<Webhook> {
  return api.json<Webhook>('POST', '/v1/webhooks', { body: { url, ...(types && { types }) } })
}

function get(api: TestApi, id: string): Promise<Webhook> {
  return api.json<Webhook>('GET', `/v1/webhooks/${id}`)
}

async function deliveries(api: TestApi, id: string): Promise<Delivery[]> {
  return (await api.json<{ deliveries: Delivery[] }>('GET', `/v1/webhooks/${id}/deliveries`)).deliveries
}

/** The newest delivery once it was attempted so often. */
async function attempted(api: TestApi, id: string, attempts: number): Promise<Delivery> {
  return await until(`attempt ${attempts}`, async () => {
    const [last] = await deliveries(api, id)
    return last !== undefined && last.attempts >= attempts && last
  })
}

/** Lets the time of the next attempts come. */
async function tryAgain(api: TestApi): Promise<void> {
  await api.db.run(`update webhook_delivery set next_at = now() where status = 'waiting'`)
  await api.db.run(`update webhook set paused_until = '-infinity', due_at = now()`)
}

test('a webhook is told what happens, signed by a secret that is shown once and sealed in the database', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  const { id, secret, ...made } = await make(api, receiver.url)
  assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  await raise(api, 'a name')
  const { status, httpStatus, event } = await attempted(api, id, 1)
  assert.deepEqual([status, httpStatus], ['delivered', 200])
  const [message] = receiver.received
  assert.ok(message && isSigned(message, secret))
  assert.equal(message.headers['webhook-id'], event.id)
  assert.equal(message.headers['content-type'], 'application/json')
  const { at, ...told } = message.event
  assert.deepEqual(told, { id: event.id, type: 'name.published', subject: 'a name', data: { about: 'a name' } })
  assert.ok(Math.abs(Date.parse(at) - Date.now()) < 3_600_000)
  assert.deepEqual(await api.json('GET', '/v1/webhooks'), { webhooks: [{ id, ...made, waiting: 0 }] })
  const [row] = await api.db.query<{ secret: Buffer }>('select secret from webhook')
  assert.equal(row?.secret.includes(Buffer.from(secret.slice('whsec_'.length), 'base64')), false)
})

test('a new secret signs beside the one before, until that has had its time or has leaked', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  const { id, secret } = await make(api, receiver.url)
  const rotate = async (keepOld?: string): Promise<string> => {
    const body = keepOld === undefined ? {} : { keepOld }
    return (await api.json<Webhook>('POST', `/v1/webhooks/${id}:rotate`, { body })).secret
  }
  /** Which of the secrets the next message is signed by. */
  const signers = async (...secrets: string[]): Promise<boolean[]> => {
    const before = receiver.received.length
    await raise(api, 'something')
    const message = await until('a message', () => receiver.received[before])
    return secrets.map((candidate) => isSigned(message, candidate))
  }
  const second = await rotate()
  assert.deepEqual(await signers(secret, second), [true, true])
  await api.db.run(`update webhook set old_secret_until = now()`)
  assert.deepEqual(await signers(secret, second), [false, true])
  const third = await rotate('1h')
  const fourth = await rotate('0s')
  assert.deepEqual(await signers(second, third, fourth), [false, false, true])
  for (const keepOld of ['31d', 'soon']) {
    assert.equal((await api.send('POST', `/v1/webhooks/${id}:rotate`, { body: { keepOld } })).status, 400)
  }
  const foreign = await api.send('POST', `/v1/webhooks/${id}:rotate`, { body: {}, token: api.otherToken })
  assert.equal(foreign.status, 404)
})

test('a webhook gets the types that it asked for, and nothing of another account', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  await using others = await receive()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  await api.json('POST', '/v1/webhooks', { body: { url: others.url }, token: api.otherToken })
  const { id } = await make(api, receiver.url, ['name.ended', 'pin.failed'])
  await raise(api, 'unwanted')
  await raise(api, 'wanted', 'name.ended')
  await attempted(api, id, 1)
  assert.deepEqual(
    receiver.received.map(({ event }) => event.subject),
    ['wanted'],
  )
  assert.deepEqual(others.received, [])
  const body = { url: receiver.url, types: ['name.lost'] }
  assert.equal((await failure(await api.send('POST', '/v1/webhooks', { body }))).reason, 'BAD_REQUEST')
})

test('an event that is not taken is told again, one at a time, until the server is back', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  receiver.answer = (_request, response) => response.writeHead(500).end('broken')
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  const { id } = await make(api, receiver.url)
  await raise(api, 'first')
  const failed = await attempted(api, id, 1)
  assert.deepEqual([failed.status, failed.httpStatus, failed.error], ['waiting', 500, 'The server answered 500.'])
  assert.notEqual(failed.nextAt, null)
  assert.notEqual((await get(api, id)).failingSince, null)
  for (let index = 0; index < 5; index++) await raise(api, `later ${index}`)
  await until('all that wait', async () => (await get(api, id)).waiting === 6)
  await tryAgain(api)
  await until('the second attempt', () => receiver.received.length >= 2)
  await until('its end', async () => (await deliveries(api, id)).at(-1)?.attempts === 2)
  assert.deepEqual(
    receiver.received.map(({ event }) => event.subject),
    ['first', 'first'],
    'a server that fails is asked with one event',
  )
  receiver.answer = (_request, response) => response.end()
  await tryAgain(api)
  await until('all are told', async () => (await get(api, id)).waiting === 0)
  const [one, two, three] = receiver.received
  assert.equal(new Set([one, two, three].map((message) => message?.event.id)).size, 1, 'the same id each time')
  assert.equal(receiver.received.length, 8)
  assert.equal((await get(api, id)).failingSince, null)
})

test('redirects are not followed, a slow server is given up, and of an endless answer nothing is read', async () => {
  await using api = await openTestApi()
  await using target = await receive()
  await using receiver = await receive()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api, { sending: { allowsLoopback: true, answerMs: 200 } }))
  const { id } = await make(api, receiver.url)
  receiver.answer = (_request, response) => response.writeHead(307, { location: target.url }).end()
  await raise(api, 'redirected')
  assert.equal((await attempted(api, id, 1)).error, 'The server answered 307.')
  receiver.answer = () => {}
  await tryAgain(api)
  assert.equal((await attempted(api, id, 2)).error, 'There was no answer within 0.2 s.')
  let cut = false
  receiver.answer = (_request, response) => {
    response.once('close', () => (cut = true))
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      response.once('drain', more)
    }
    more()
  }
  await tryAgain(api)
  assert.equal((await attempted(api, id, 3)).status, 'delivered')
  await until('the end of the answer', () => cut)
  assert.deepEqual(target.received, [])
})

test('no webhook leads to a private address, by number, by name or by a name that changes', async () => {
  await using api = await openTestApi()
  for (const host of ['10.0.0.1', '169.254.169.254', '[::ffff:127.0.0.1]', '192.168.1.1', 'a.internal', '[fd00::1]']) {
    for (const scheme of ['https', 'http']) {
      const answer = await api.send('POST', '/v1/webhooks', { body: { url: `${scheme}://${host}/` } })
      assert.equal((await failure(answer)).reason, 'BAD_REQUEST', host)
    }
  }
  let connections = 0
  const server = createServer().on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const lookedUp: string[] = []
  const lookUp: AddressLookup = (hostname, _options, done) => {
    lookedUp.push(hostname)
    done(null, [
      { address: '93.184.216.34', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ])
  }
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api, { sending: { lookUp } }))
  const { id } = await make(api, `https://hooks.example.com:${port}/`)
  await raise(api, 'one')
  const { error, httpStatus } = await attempted(api, id, 1)
  assert.match(error ?? '', /none of the public internet/)
  assert.deepEqual([lookedUp, connections, httpStatus], [['hooks.example.com'], 0, null])
  // One that was made while the operator allowed this machine.
  const { id: here } = await make(api, `http://127.0.0.1:${port}/`)
  await raise(api, 'two')
  assert.match((await attempted(api, here, 1)).error ?? '', /https/)
  assert.equal(connections, 0)
  server.close()
})

test('of two notifiers one tells a webhook at a time: each event arrives once', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api, { everyMs: 5 }))
  stack.use(runNotifier(api, { everyMs: 5 }))
  const { id } = await make(api, receiver.url)
  const subjects = Array.from({ length: 200 }, (_, index) => `event ${index}`)
  for (const subject of subjects) await raise(api, subject)
  await until('all are told', async () => {
    const { waiting } = await get(api, id)
    return waiting === 0 && receiver.received.length >= subjects.length
  })
  assert.deepEqual(receiver.received.map(({ event }) => event.subject).sort(), subjects.toSorted())
})

test('what a process took that died is told by another when its lease is over', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  const { id } = await make(api, receiver.url)
  const placing = runNotifier(api, { seal: undefined })
  await raise(api, 'one')
  await until('that it waits', async () => (await get(api, id)).waiting === 1)
  await placing[Symbol.asyncDispose]()
  const taken = await takeWebhook(api.db, sealWith('test'))
  assert.equal(taken?.id, id)
  assert.equal(await takeWebhook(api.db, sealWith('test')), undefined, 'nobody else takes it meanwhile')
  await api.db.run('update webhook set lease_until = now()')
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  assert.equal((await attempted(api, id, 1)).status, 'delivered')
})

test('a webhook that fails for days is disabled with the reason; PUT enables it; one that is gone is disabled at once', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  receiver.answer = (_request, response) => response.writeHead(503).end()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  const { id } = await make(api, receiver.url)
  await raise(api, 'one')
  await raise(api, 'two')
  await until('an attempt', async () => (await get(api, id)).failingSince !== null)
  await until('both wait', async () => (await deliveries(api, id)).length === 2)
  await api.db.run(`update webhook_delivery set created_at = now() - interval '25 hours'`)
  await tryAgain(api)
  await until('that one is given up', async () => (await deliveries(api, id)).some(({ status }) => status === 'failed'))
  assert.equal((await get(api, id)).disabled, null)
  await api.db.run(`update webhook set failing_since = now() - interval '73 hours'`)
  await tryAgain(api)
  const { disabled, waiting } = await until('the end', async () => {
    const webhook = await get(api, id)
    return webhook.disabled !== null && webhook
  })
  assert.match(disabled?.reason ?? '', /^For three days .* The server answered 503\.$/)
  assert.equal(waiting, 0)

  const before = receiver.received.length
  await raise(api, 'unheard')
  receiver.answer = (_request, response) => response.writeHead(204).end()
  await api.json('POST', `/v1/webhooks/${id}:test`)
  await until('the test', async () => (await deliveries(api, id))[0]?.event.type === 'webhook.test')
  assert.equal((await attempted(api, id, 1)).status, 'delivered')
  assert.deepEqual(
    receiver.received.slice(before).map(({ event }) => event.type),
    ['webhook.test'],
  )
  assert.equal((await api.json<Webhook>('PUT', `/v1/webhooks/${id}`, { body: { url: receiver.url } })).disabled, null)
  receiver.answer = (_request, response) => response.writeHead(410).end()
  await raise(api, 'last')
  await until('the end', async () => /gone/.test((await get(api, id)).disabled?.reason ?? ''))
})

test('what the URL before answers after it was changed neither ends the webhook nor counts as told', async () => {
  await using api = await openTestApi()
  await using before = await receive()
  await using now = await receive()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  const asked = Promise.withResolvers<void>()
  const changed = Promise.withResolvers<void>()
  before.answer = (_request, response) => {
    asked.resolve()
    void changed.promise.then(() => response.writeHead(410).end())
  }
  const { id } = await make(api, before.url)
  await raise(api, 'one')
  await asked.promise
  await api.json('PUT', `/v1/webhooks/${id}`, { body: { url: now.url } })
  changed.resolve()
  const told = await until('that the new URL is told', () => Promise.resolve(now.received[0]))
  assert.equal(told.event.subject, 'one')
  assert.equal((await attempted(api, id, 1)).status, 'delivered')
  await stack.disposeAsync()
  assert.equal((await get(api, id)).disabled, null)
})

test('tests, limits and lists', async () => {
  await using api = await openTestApi()
  const { id } = await make(api, 'https://hooks.example/')
  await api.json('POST', `/v1/webhooks/${id}:test`)
  assert.equal((await failure(await api.send('POST', `/v1/webhooks/${id}:test`))).reason, 'TOO_MANY_REQUESTS')
  const ids = [id]
  for (let count = 1; count < 20; count++) ids.push((await make(api, 'https://hooks.example/')).id)
  const body = { url: 'https://hooks.example/' }
  assert.equal((await failure(await api.send('POST', '/v1/webhooks', { body }))).reason, 'INSUFFICIENT_FUNDS')
  const page = await api.json<{ webhooks: Webhook[] }>('GET', `/v1/webhooks?limit=5&after=${ids[9]}`)
  assert.deepEqual(
    page.webhooks.map((webhook) => webhook.id),
    ids.slice(10, 15),
  )
  assert.equal((await api.send('PUT', `/v1/webhooks/${id}`, { body, token: api.otherToken })).status, 404)
  assert.equal((await api.send('DELETE', `/v1/webhooks/${id}`)).status, 204)
  assert.equal((await api.send('GET', `/v1/webhooks/${id}`)).status, 404)
})

test('events are forgotten after their time, with what was still to be told of them', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  receiver.answer = () => {}
  const { id } = await make(api, receiver.url)
  {
    await using stack = new AsyncDisposableStack()
    stack.use(runNotifier(api, { seal: undefined }))
    await raise(api, 'old')
    await raise(api, 'new')
    await until('both wait', async () => (await get(api, id)).waiting === 2)
  }
  await api.db.run(`update event set created_at = now() - interval '31 days' where subject = 'old'`)
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api, { seal: undefined }))
  await until('one is forgotten', async () => (await get(api, id)).waiting === 1)
  assert.deepEqual(
    (await deliveries(api, id)).map(({ event }) => event.subject),
    ['new'],
  )
})

test('webhooks of one account that hang do not hold up those of another', async () => {
  await using api = await openTestApi()
  await using hanging = await receive()
  hanging.answer = () => {}
  await using receiver = await receive()
  await using stack = new AsyncDisposableStack()
  for (let count = 0; count < 20; count++) await make(api, hanging.url)
  await api.json('POST', '/v1/webhooks', { body: { url: receiver.url }, token: api.otherToken })
  stack.use(runNotifier(api, { sending: { allowsLoopback: true, answerMs: 60_000 } }))
  for (let index = 0; index < 20; index++) await raise(api, `hanging ${index}`)
  await until('that it hangs', () => hanging.received.length >= 4)
  const [other] = await api.db.query<{ id: number }>('select id from tenant where id <> $1', [api.tenantId])
  await raiseEvent(api.db, other?.id ?? 0, { type: 'name.ended', subject: 'theirs', data: {} })
  api.wakes.announce(EVENTS)
  await until('that the other is told', () => receiver.received.length === 1)
  const leased = await api.db.query('select from webhook where lease_until > now()')
  assert.equal(leased.length, 4)
})
