import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followingRole } from '../../services/catalog/chains.ts'
import { lead } from '../../services/catalog/leases.ts'
import { openTestApi } from '../support/api.ts'
import { runCli } from '../support/run-cli.ts'
import { failure } from '../support/web.ts'

interface Guard {
  collection: string
  policy: string
  keepHistory: string
  limits: Record<string, number>
  waiting: string | null
}

function collectionOf(digits: string): string {
  return `eip155:1/erc721:0x${digits.repeat(20)}`
}

function pathOf(collection: string): string {
  return `/v1/collections/${encodeURIComponent(collection)}/guard`
}

test('a collection is guarded, changed, listed and given up, each account its own', async () => {
  await using api = await openTestApi({ readsChain: true })
  const path = pathOf(collectionOf('AB'))
  assert.equal((await api.send('PUT', path, { body: {} })).status, 201)
  const guard = await api.json<Guard>('PUT', path, { body: { keepHistory: 'forever', limits: { dayBytes: 5 } } })
  assert.equal(guard.collection, collectionOf('ab'))
  assert.equal(guard.keepHistory, 'forever')
  assert.deepEqual([guard.limits['dayBytes'], guard.limits['tokenBytes']], [5, 256 * 1_024 ** 2])
  await api.json('PUT', pathOf(collectionOf('aa')), { body: { keepHistory: '30d' } })
  const page = await api.json<{ guards: Guard[] }>('GET', '/v1/guards?limit=1')
  assert.deepEqual(
    page.guards.map(({ collection, keepHistory }) => [collection, keepHistory]),
    [[collectionOf('aa'), '30d']],
  )
  const next = await api.json<{ guards: Guard[] }>('GET', `/v1/guards?after=${collectionOf('aa')}`)
  assert.deepEqual(
    next.guards.map(({ collection }) => collection),
    [collectionOf('ab')],
  )
  assert.deepEqual(await api.json('GET', '/v1/guards', { token: api.otherToken }), { guards: [] })
  const { figures } = await api.json<{ figures: object }>('GET', path)
  assert.deepEqual(figures, { tokens: 0, provisional: 0, unread: 0, pins: {}, bytes: 0 })
  assert.deepEqual(await api.json('GET', `${path}/tokens/7`), { versions: [] })
  assert.equal((await api.send('DELETE', path)).status, 204)
  assert.equal((await api.send('DELETE', path)).status, 404)
})

test('a collection of a chain that nobody reads says that it waits, until somebody does', async () => {
  await using api = await openTestApi({ readsChain: true })
  const path = pathOf(collectionOf('aa'))
  const { waiting } = await api.json<Guard>('PUT', path, { body: {} })
  assert.match(waiting ?? '', /eip155:1: set HOLDFAST_CHAIN_RPC/)
  const environment = { HOLDFAST_URL: api.url, HOLDFAST_TOKEN: api.token }
  const told = await runCli(['collection', 'guard-status', collectionOf('aa')], { environment })
  assert.match(told.stdout, /^waiting: Nobody reads the chain eip155:1/m)
  await lead(api.db, followingRole('eip155:1'), 'somebody', 60_000)
  const { guards } = await api.json<{ guards: Guard[] }>('GET', '/v1/guards')
  assert.deepEqual(
    guards.map((guard) => guard.waiting),
    [null],
  )
})

test('what cannot be guarded is refused', async () => {
  await using api = await openTestApi({ readsChain: true })
  const path = pathOf(collectionOf('aa'))
  const bodies = [{ policy: 'none-such' }, { keepHistory: 'long' }, { limits: { dayBytes: 0 } }, { unknown: 1 }]
  for (const body of bodies) assert.equal((await api.send('PUT', path, { body })).status, 400)
  assert.equal((await api.send('PUT', pathOf(`${collectionOf('aa')}/7`), { body: {} })).status, 400)
  await using blind = await openTestApi()
  const refused = await failure(await blind.send('PUT', path, { body: {} }))
  assert.equal(refused.reason, 'NOT_IMPLEMENTED')
})
