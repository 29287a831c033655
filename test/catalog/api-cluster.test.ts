import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { addNode } from '../support/node-rows.ts'
import { failure } from '../support/web.ts'

interface Node {
  id: string
  region: string
  state: string
  freeBytes: number
}

test('nodes are listed by name, drained and taken back', async () => {
  await using api = await openTestApi()
  await addNode(api.db, { name: 'frankfurt-1', region: 'frankfurt' })
  const { nodes } = await api.json<{ nodes: Node[] }>('GET', '/v1/nodes')
  assert.deepEqual(
    nodes.map(({ id, region, state }) => [id, region, state]),
    [['frankfurt-1', 'frankfurt', 'active']],
  )
  assert.equal((await api.json<Node>('POST', '/v1/nodes/frankfurt-1:drain')).state, 'draining')
  assert.equal((await api.json<Node>('POST', '/v1/nodes/frankfurt-1:undrain', { body: {} })).state, 'active')
  const unknown = await api.send('POST', '/v1/nodes/nowhere-1:drain')
  assert.equal(unknown.status, 404)
  assert.equal((await failure(unknown)).reason, 'NOT_FOUND')
})

test('an invitation is a token that lets a node join', async () => {
  await using api = await openTestApi()
  const { joinToken } = await api.json<{ joinToken: string }>('POST', '/v1/nodes:invite', { body: { name: 'rack 7' } })
  assert.ok(joinToken.length > 40)
  const [row] = await api.db.query<{ name: string }>('select name from join_token where revoked_at is null')
  assert.equal(row?.name, 'rack 7')
})

test('a policy is saved, versioned, read and deleted', async () => {
  await using api = await openTestApi()
  const first = await api.send('PUT', '/v1/policies/eu', { body: { copies: { min: 1, target: 2 } } })
  assert.equal(first.status, 201)
  const again = await api.send('PUT', '/v1/policies/eu', {
    body: { copies: { min: 2, target: 2 }, rules: [{ spread: 'region', distinct: 2 }] },
  })
  assert.equal(again.status, 200)
  const saved = await api.json<{ version: number; owner: string; spec: unknown }>('GET', '/v1/policies/eu')
  assert.equal(saved.version, 2)
  assert.deepEqual(saved.spec, { copies: { min: 2, target: 2 }, rules: [{ spread: 'region', distinct: 2 }] })
  const { policies } = await api.json<{ policies: { name: string; owner: string }[] }>('GET', '/v1/policies')
  assert.deepEqual(
    policies.map(({ name, owner }) => [name, owner]),
    [
      ['default', 'system'],
      ['eu', 'tenant'],
    ],
  )
  assert.equal((await api.send('DELETE', '/v1/policies/eu')).status, 204)
  assert.equal((await api.send('GET', '/v1/policies/eu')).status, 404)
})

test('a preview tells what a policy would move, and moves nothing', async () => {
  await using api = await openTestApi()
  for (const region of ['a', 'b', 'c']) await addNode(api.db, { name: `${region}-1`, region })
  await api.json('PUT', '/v1/policies/eu', { body: { copies: { min: 1, target: 1 } } })
  await api.json('POST', '/psa/pins', { body: { cid: rawCid('x').toString(), meta: { policy: 'eu' } } })
  const wanted = { name: 'eu', policy: { copies: { min: 2, target: 3 } } }
  const preview = await api.json<{ contents: number; copiesAdded: number }>('POST', '/v1/policies:preview', {
    body: wanted,
  })
  assert.equal(preview.contents, 1)
  assert.equal(preview.copiesAdded, 3)
  assert.equal((await api.json<{ version: number }>('GET', '/v1/policies/eu')).version, 1)
})

test('a policy in use, and one of the system, cannot be deleted', async () => {
  await using api = await openTestApi()
  await api.json('PUT', '/v1/policies/eu', { body: { copies: { min: 1, target: 1 } } })
  await api.json('POST', '/psa/pins', { body: { cid: rawCid('x').toString(), meta: { policy: 'eu' } } })
  const used = await api.send('DELETE', '/v1/policies/eu')
  assert.equal(used.status, 409)
  assert.equal((await failure(used)).reason, 'CONFLICT')
  assert.equal((await api.send('DELETE', '/v1/policies/default')).status, 404)
})

const wrong: [string, string, unknown][] = [
  ['min above target', 'eu', { copies: { min: 3, target: 2 } }],
  ['a wait of a million years', 'eu', { copies: { min: 1, target: 1 }, heal: { after: '365000000d' } }],
  ['a wait without an end', 'eu', { copies: { min: 1, target: 1 }, heal: { after: `${'9'.repeat(400)}d` } }],
  ['reading back all the time', 'eu', { copies: { min: 1, target: 1 }, verify: { every: '1ms' } }],
  ['no copies', 'eu', { rules: [] }],
  ['a million copies', 'eu', { copies: { min: 1, target: 1_000_000 } }],
  ['an unknown rule', 'eu', { copies: { min: 1, target: 1 }, rules: [{ avoid: 'region' }] }],
  ['a field that is not there', 'eu', { copies: { min: 1, target: 1 }, erasure: { k: 6 } }],
  ['a name that cannot be one', 'EU policy', { copies: { min: 1, target: 1 } }],
]

for (const [title, name, body] of wrong) {
  test(`a policy with ${title} is not saved`, async () => {
    await using api = await openTestApi()
    const response = await api.send('PUT', `/v1/policies/${encodeURIComponent(name)}`, { body })
    assert.equal(response.status, 400)
    assert.equal((await failure(response)).reason, 'BAD_REQUEST')
  })
}

test('the page at the root runs no script and may not be framed', async () => {
  await using api = await openTestApi()
  const page = await fetch(`${api.url}/`)
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/)
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
  assert.match(await page.text(), /openapi\.json/)
})
