import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi } from '../support/api.ts'
import { failure } from '../support/web.ts'

interface Made {
  id: string
  token: string
}

test('a token is shown once, works, is listed without its secret, and ends when revoked', async () => {
  await using api = await openTestApi()
  const made = await api.json<Made>('POST', '/v1/tokens', { body: { name: 'ci', scopes: ['pins:read'] } })
  assert.equal((await api.send('GET', '/v1/usage', { token: made.token })).status, 200)
  const { tokens } = await api.json<{ tokens: { id: string; name: string; hint: string }[] }>('GET', '/v1/tokens')
  const listed = tokens.find(({ id }) => id === made.id)
  assert.equal(listed?.name, 'ci')
  assert.ok(made.token.endsWith(listed?.hint.slice(-4) ?? '-'))
  assert.equal(JSON.stringify(tokens).includes(made.token), false)
  assert.equal((await api.send('DELETE', `/v1/tokens/${made.id}`)).status, 204)
  assert.equal((await api.send('GET', '/v1/usage', { token: made.token })).status, 401)
})

test('a token cannot give scopes that it does not have', async () => {
  await using api = await openTestApi()
  const token = await api.tokenWith('tokens:admin', 'pins:read')
  const beyond = await api.send('POST', '/v1/tokens', {
    token,
    body: { name: 'more', scopes: ['pins:read', 'nodes:admin'] },
  })
  assert.equal(beyond.status, 403)
  assert.match((await failure(beyond)).details, /nodes:admin/)
  const within = await api.send('POST', '/v1/tokens', { token, body: { name: 'less', scopes: ['pins:read'] } })
  assert.equal(within.status, 201)
})

const refused: [string, unknown][] = [
  ['no name', { scopes: ['pins:read'] }],
  ['no scope', { name: 'x', scopes: [] }],
  ['an unknown scope', { name: 'x', scopes: ['everything'] }],
  ['a time that is none', { name: 'x', scopes: ['pins:read'], expiresAt: 'tomorrow' }],
  ['a field that is not there', { name: 'x', scopes: ['pins:read'], tenant_id: 2 }],
  ['a name with NUL', { name: 'x\0', scopes: ['pins:read'] }],
]

for (const [title, body] of refused) {
  test(`a token with ${title} is not made`, async () => {
    await using api = await openTestApi()
    const response = await api.send('POST', '/v1/tokens', { body })
    assert.equal(response.status, 400)
    assert.equal((await failure(response)).reason, 'BAD_REQUEST')
  })
}
