import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventId, parseEventId } from '../../services/core/events.ts'
import { loopbackOnly, publicOnly, type AddressLookup, type FoundAddress } from '../../services/core/public-address.ts'
import { webhookHeaders, webhookSecretText } from '../../services/core/webhook-signature.ts'
import { webhookUrlProblem } from '../../services/core/webhook-url.ts'

test('the example of the libraries of Standard Webhooks is signed as there', () => {
  const secret = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64')
  assert.equal(webhookSecretText(secret), 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
  const message = {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestampSeconds: 1_614_265_330,
    body: '{"test": 2432232314}',
  }
  assert.deepEqual(webhookHeaders([secret], message), {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
})

test('while a secret gives way to another, a message has a signature of each', () => {
  const message = { id: 'one', timestampSeconds: 1, body: '{}' }
  const of = (...secrets: string[]): string =>
    webhookHeaders(
      secrets.map((secret) => Buffer.from(secret)),
      message,
    )['webhook-signature']
  assert.equal(of('new', 'old'), `${of('new')} ${of('old')}`)
})

test('ids of events are read back, and nothing else is taken for one', () => {
  const place = { feed: '0123456789abcdef', place: '42' }
  assert.deepEqual(parseEventId(eventId(place)), place)
  for (const text of [
    '',
    '42',
    '0123456789abcdef',
    '0123456789abcdef-',
    '0123456789abcdef--1',
    'x'.repeat(16) + '-1',
  ]) {
    assert.equal(parseEventId(text), undefined)
  }
})

test('a URL that may be told events is https in the public internet, or of this machine where that is allowed', () => {
  const problem = (url: string, allowsLoopback = false): string | undefined =>
    webhookUrlProblem(url, { allowsLoopback })
  assert.equal(problem('https://hooks.example.com/a?b'), undefined)
  const refused = [
    'http://hooks.example.com',
    'https://u:p@hooks.example.com',
    'ftp://hooks.example.com',
    'no',
    'https://a',
  ]
  for (const url of [...refused, 'https://hooks.example.com/#a']) assert.notEqual(problem(url, true), undefined, url)
  const here = ['127.0.0.1', 'localhost', '127.9.9.9', '[::1]', '2130706433', '0x7f.1']
  for (const host of here) {
    assert.notEqual(problem(`https://${host}/`), undefined, host)
    assert.equal(problem(`http://${host}:1/`, true), undefined, host)
  }
  for (const host of ['10.0.0.1', '169.254.169.254', '[::ffff:127.0.0.1]', '0.0.0.0', '[fd00::1]', 'db.internal']) {
    assert.notEqual(problem(`https://${host}/`, true), undefined, host)
  }
})

test('a lookup that is guarded finds nothing when one address of several is not allowed', async () => {
  const find = (guard: typeof publicOnly, addresses: FoundAddress[], all: boolean): Promise<unknown> => {
    const lookUp: AddressLookup = (_hostname, _options, done) => done(null, addresses)
    return new Promise((resolve) => {
      guard(lookUp)('host', { all }, (error, found) => resolve(error === null ? found : error.message))
    })
  }
  const [open, closed] = [
    { address: '93.184.216.34', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ]
  assert.deepEqual(await find(publicOnly, [open], true), [open])
  assert.equal(await find(publicOnly, [open], false), open.address)
  assert.equal(await find(publicOnly, [open, closed], false), 'The host is none of the public internet.')
  assert.equal(await find(publicOnly, [], true), 'The host is none of the public internet.')
  assert.deepEqual(await find(loopbackOnly, [closed, { address: '::1', family: 6 }], true), [
    closed,
    { address: '::1', family: 6 },
  ])
  assert.equal(await find(loopbackOnly, [closed, open], true), 'The host is not this machine.')
})
