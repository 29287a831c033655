import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SCOPES } from '../../services/core/scopes.ts'
import type { ApiRoute } from '../../services/api/route.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { TEST_KEY } from '../support/proofs.ts'
import { failure } from '../support/web.ts'

const cid = rawCid('owned').toString()
const NOBODYS_ID = '019a0000-0000-7000-8000-000000000000'
/** A contract of the chain, which belongs to no account. */
const COLLECTION = encodeURIComponent(`eip155:1/erc721:0x${'11'.repeat(20)}`)
const policy = { copies: { min: 1, target: 1 } }

/** Ids that belong to the first tenant, by the parameter of the path that names them. */
async function belongings(api: TestApi): Promise<Record<string, string>> {
  const pin = await api.json<{ requestid: string }>('POST', '/psa/pins', { body: { cid, name: 'secret' } })
  const token = await api.json<{ id: string }>('POST', '/v1/tokens', {
    body: { name: 'secret', scopes: ['pins:read'] },
  })
  await api.json('PUT', '/v1/policies/secret', { body: policy })
  await api.json('PUT', `/v1/access/${cid}`, { body: { token: true } })
  const key = await api.json<{ id: string }>('POST', '/v1/signing-keys')
  const { name } = await api.json<{ name: string }>('POST', '/v1/names', { body: { label: 'secret' } })
  await api.json('PUT', `/v1/follows/${name}`, { body: {} })
  const webhook = await api.json<{ id: string }>('POST', '/v1/webhooks', { body: { url: 'https://secret.example/' } })
  const look = await api.json<{ id: string }>('POST', `/v1/collections/${COLLECTION}/verifications`, { body: {} })
  const proof = await api.json<{ id: string }>('POST', '/v1/proofs', { body: {} })
  await api.json('PUT', `/v1/collections/${COLLECTION}/guard`, { body: {} })
  return {
    '/collections/{caip19}/guard': COLLECTION,
    '/access/{cid}': cid,
    '/proofs/{id}': proof.id,
    '/follows/{name}': name,
    '/sites/{site}': 'secret',
    '/names/{name}': name,
    '/pins/{requestid}': pin.requestid,
    '/signing-keys/{id}': key.id,
    '/verifications/{id}': look.id,
    '/webhooks/{id}': webhook.id,
    '/tokens/{id}': token.id,
    '/policies/{name}': 'secret',
  }
}

/** A body that each route accepts. */
function bodyOf({ spec }: ApiRoute): unknown {
  if (spec.path === '/v1/policies:preview') return { name: 'x', policy }
  if (spec.path.startsWith('/v1/policies')) return policy
  if (spec.path === '/v1/access/{cid}') return { token: true }
  if (spec.path === '/v1/sites/{site}/versions') return { pin: NOBODYS_ID }
  if (/\/(verifications|guard|proofs)$/.test(spec.path)) return {}
  if (spec.path.endsWith(':rotate')) return {}
  if (spec.path.startsWith('/v1/webhooks')) return { url: 'https://hooks.example/' }
  if (spec.path === '/v1/tokens') return { name: 'x', scopes: ['tokens:admin'] }
  return spec.path === '/v1/nodes:invite' ? { name: 'x' } : { cid }
}

function call(api: TestApi, route: ApiRoute, path: string, token: string): Promise<Response> {
  const { method, body } = route.spec
  if (body === undefined) return api.send(method, path, { token })
  if (body.kind === 'lines')
    return api.send(method, path, { token, body: '{}', headers: { 'Content-Type': 'application/x-ndjson' } })
  return api.send(method, path, { token, body: body.kind === 'bytes' ? 'x' : bodyOf(route) })
}

/** Nodes and denylists are the cluster's, collections the world's, not an account's; PUT makes the caller's own policy. */
function namesBelonging({ spec }: ApiRoute): boolean {
  return (
    spec.path.includes('{') && !/^\/v1\/(nodes|denylists)\/|\/verifications$/.test(spec.path) && spec.method !== 'PUT'
  )
}

test("another account's id is not found, on every route that takes one", async (t) => {
  await using api = await openTestApi({ readsChain: true, signer: TEST_KEY })
  const ids = await belongings(api)
  const routes = api.api.routes.filter(namesBelonging)
  assert.ok(routes.length >= 6)
  for (const route of routes) {
    const { method, path } = route.spec
    await t.test(`${method} ${path}`, async () => {
      const place = Object.keys(ids).find((part) => path.includes(part))
      assert.ok(place, `the test knows no id for ${path}`)
      const named = (id: string): string =>
        path
          .replace('{caip19}', COLLECTION)
          .replace(/\{\w+\}/, id)
          .replace('{domain}', 'example.org')
      const foreign = named(ids[place] ?? '')
      const theirs = await call(api, route, foreign, api.otherToken)
      const nobodys = await call(
        api,
        route,
        named(/follows/.test(place) ? 'nobody.example' : /name|site/.test(place) ? 'none' : NOBODYS_ID),
        api.otherToken,
      )
      assert.equal(theirs.status, 404)
      const [told, expected] = [await failure(theirs), await failure(nobodys)]
      assert.equal(nobodys.status, 404)
      assert.equal(told.reason, expected.reason)
    })
  }
  for (const [place, id] of Object.entries(ids)) {
    if (!place.endsWith('/{id}'))
      assert.equal(
        (await api.send('GET', `${place.includes('pins') ? '/psa' : '/v1'}${place.replace(/\{\w+\}/, id)}`)).status,
        200,
      )
  }
})

test("lists and figures show nothing of another account's", async () => {
  await using api = await openTestApi({ readsChain: true, signer: TEST_KEY })
  await belongings(api)
  const token = api.otherToken
  const pins = await api.json<{ count: number }>('GET', '/psa/pins?status=queued,pinning,pinned,failed&name=secret', {
    token,
  })
  assert.equal(pins.count, 0)
  assert.equal((await api.json<{ count: number }>('GET', `/psa/pins?cid=${cid}`, { token })).count, 0)
  assert.equal((await api.json<{ pins: number }>('GET', '/v1/usage', { token })).pins, 0)
  const looks = await api.json<object>('GET', `/v1/collections/${COLLECTION}/verifications`, { token })
  assert.deepEqual(looks, { verifications: [] })
  const lists = await Promise.all(
    ['/v1/tokens', '/v1/policies', '/v1/webhooks'].map((path) => api.json<object>('GET', path, { token })),
  )
  assert.equal(JSON.stringify(lists).includes('secret'), false)
})

test('every route that is not public refuses a missing token with 401 and a missing scope with 403', async (t) => {
  // One failed login for each route.
  await using api = await openTestApi({ gateLimits: { failedLoginsPerMinute: 1_000 } })
  const guarded = api.api.routes.filter(({ spec }) => spec.access !== 'public')
  assert.ok(guarded.length > 15)
  for (const route of guarded) {
    const { method, path, access } = route.spec
    await t.test(`${method} ${path}`, async () => {
      assert.ok((SCOPES as readonly string[]).includes(access))
      const somewhere = path.replace(/\{\w+\}/, '019a0000-0000-7000-8000-000000000000')
      assert.equal((await call(api, route, somewhere, 'wrong')).status, 401)
      const others = SCOPES.filter((scope) => scope !== access)
      const refused = await call(api, route, somewhere, await api.tokenWith(...others))
      assert.equal(refused.status, 403)
      assert.match((await failure(refused)).details, new RegExp(access))
      const admitted = await call(api, route, somewhere, await api.tokenWith(access as (typeof SCOPES)[number]))
      assert.ok(admitted.status !== 401 && admitted.status !== 403, String(admitted.status))
      // A stream of events does not end by itself.
      await admitted.body?.cancel()
    })
  }
})

test('only what tells nothing of an account is public', async () => {
  await using api = await openTestApi()
  const open = api.api.routes.filter(({ spec }) => spec.access === 'public').map(({ spec }) => spec.path)
  assert.deepEqual(open.sort(), ['/', '/openapi.json'])
})

test('a NUL in the path or the query of any route is refused, not asked of the database', async () => {
  await using api = await openTestApi({ readsChain: true, signer: TEST_KEY })
  for (const { spec } of api.api.routes) {
    const path = spec.path.replaceAll(/\{\w+\}/g, 'a')
    const places = [
      ...(spec.params === undefined ? [] : [spec.path.replaceAll(/\{\w+\}/g, 'a%00')]),
      ...Object.keys(spec.query?.shape ?? {}).map((name) => `${path}?${name}=a%00`),
    ]
    for (const place of places) {
      const { status } = await api.send(spec.method, place, spec.method === 'GET' ? {} : { body: {} })
      assert.ok([400, 404].includes(status), `${spec.method} ${place} answers ${status}`)
    }
  }
})
