import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGate, DEFAULT_GATE_LIMITS } from '../../services/api/gate.ts'
import { createAuthenticator } from '../../services/catalog/authenticator.ts'
import { openDatabase } from '../../services/catalog/database.ts'
import { createToken } from '../../services/catalog/tokens.ts'
import { door } from '../../services/runtime/http/mount.ts'
import { openTestApi } from '../support/api.ts'
import { failure, memoryLog, serve } from '../support/web.ts'

test('every bad token gets the same answer', async () => {
  await using api = await openTestApi()
  const { id, token: revoked } = await createToken(api.db, api.tenantId, { name: 'old', scopes: ['pins:read'] })
  await api.send('DELETE', `/v1/tokens/${id}`)
  const { token: expired } = await createToken(api.db, api.tenantId, {
    name: 'expired',
    scopes: ['pins:read'],
    expiresAt: '2020-01-01T00:00:00Z',
  })
  const last = api.token.at(-1) === 'a' ? 'b' : 'a'
  const headers: Record<string, string | undefined> = {
    missing: undefined,
    empty: '',
    malformed: 'Bearer',
    'another scheme': `Basic ${api.token}`,
    unknown: 'Bearer purposefullyInvalid',
    'another last character': `Bearer ${api.token.slice(0, -1)}${last}`,
    revoked: `Bearer ${revoked}`,
    expired: `Bearer ${expired}`,
  }
  const answers = new Set<string>()
  for (const [title, authorization] of Object.entries(headers)) {
    const response = await fetch(
      `${api.url}/v1/usage`,
      authorization === undefined ? {} : { headers: { authorization } },
    )
    assert.equal(response.status, 401, title)
    assert.equal(response.headers.get('www-authenticate'), 'Bearer')
    answers.add(JSON.stringify(await failure(response)))
  }
  assert.equal(answers.size, 1)
})

test('a token without the scope is answered 403, one that has it passes', async () => {
  await using api = await openTestApi()
  const token = await api.tokenWith('pins:write')
  const refused = await api.send('GET', '/v1/usage', { token })
  assert.equal(refused.status, 403)
  assert.match((await failure(refused)).details, /pins:read/)
  assert.equal((await api.send('GET', '/v1/usage')).status, 200)
})

test('a flood of bad tokens from an address is slowed down, and valid tokens from there pass', async () => {
  await using api = await openTestApi({ gateLimits: { failedLoginsPerMinute: 5 } })
  const statuses: number[] = []
  for (let attempt = 0; attempt < 7; attempt++) {
    statuses.push((await api.send('GET', '/v1/usage', { token: `guess-${attempt}` })).status)
  }
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429])
  const slowed = await api.send('GET', '/v1/usage', { token: 'guess-8' })
  assert.equal((await failure(slowed)).reason, 'TOO_MANY_REQUESTS')
  assert.ok(Number(slowed.headers.get('retry-after')) > 0)
  assert.equal((await api.send('GET', '/v1/usage')).status, 200)
})

test('an account that sends too much is told when to go on, and others are not slowed down', async () => {
  await using api = await openTestApi({ gateLimits: { requestsPerMinute: 2 } })
  const first = await api.send('GET', '/v1/usage')
  assert.equal(first.headers.get('x-ratelimit-limit'), '2')
  assert.equal(first.headers.get('x-ratelimit-remaining'), '1')
  const reset = Number(first.headers.get('x-ratelimit-reset'))
  assert.ok(reset * 1_000 > Date.now() && reset * 1_000 < Date.now() + 61_000)
  assert.match(first.headers.get('ratelimit') ?? '', /^"account";r=1;t=\d+$/)
  await api.send('GET', '/v1/usage')
  const third = await api.send('GET', '/v1/usage')
  assert.equal(third.status, 429)
  assert.equal((await failure(third)).reason, 'TOO_MANY_REQUESTS')
  assert.ok(Number(third.headers.get('retry-after')) > 0)
  assert.equal((await api.send('GET', '/v1/usage', { token: api.otherToken })).status, 200)
})

test('no token is ever logged', async () => {
  const { log, text } = memoryLog()
  await using api = await openTestApi({ log })
  await api.send('GET', '/v1/usage')
  await api.send('GET', '/v1/usage', { token: 'a-wrong-but-secret-token' })
  const made = (await (
    await api.send('POST', '/v1/tokens', { body: { name: 'x', scopes: ['pins:read'] } })
  ).json()) as { token: string }
  await api.send('GET', `/v1/nothing?token=${made.token}`)
  for (const secret of [api.token, made.token, 'a-wrong-but-secret-token']) assert.equal(text().includes(secret), false)
})

test('while the database is away every request is answered 503 with Retry-After', async () => {
  await using api = await openTestApi()
  await using away = openDatabase('postgres://nobody@127.0.0.1:1/nothing')
  const authenticator = createAuthenticator(away, api.wakes)
  await using server = await serve([], {
    doors: [door(api.api.routes, createGate(authenticator, DEFAULT_GATE_LIMITS))],
  })
  const response = await fetch(`${server.url}/psa/pins`, { headers: { Authorization: `Bearer ${api.token}` } })
  assert.equal(response.status, 503)
  assert.equal((await failure(response)).reason, 'UNAVAILABLE')
  assert.ok(Number(response.headers.get('retry-after')) > 0)
})
