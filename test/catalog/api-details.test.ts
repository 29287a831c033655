import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { addNode } from '../support/node-rows.ts'
import { failure } from '../support/web.ts'

interface Details {
  requestid: string
  status: string
  policy: { name: string; spec: { copies: { min: number; target: number } } }
  replicas: { node: string; region: string; state: string; verifiedAt: string | null; error: string | null }[]
  explain: {
    phase: string
    waitsFor: string[]
    lastError: { node: string; code: string } | null
    progress: { verified: number }
  }
}

async function add(api: TestApi): Promise<string> {
  const body = { cid: rawCid('detailed').toString() }
  return (await api.json<{ requestid: string }>('POST', '/psa/pins', { body })).requestid
}

function details(api: TestApi, id: string): Promise<Details> {
  return api.json<Details>('GET', `/v1/pins/${id}`)
}

async function setReplica(api: TestApi, nodeId: number, columns: Record<string, unknown>): Promise<void> {
  const names = Object.keys(columns)
  await api.db.run(
    `insert into replica (content_id, node_id, ${names.join(', ')})
     select id, $1, ${names.map((_, index) => `$${index + 2}`).join(', ')} from content
     on conflict (content_id, node_id) do update set ${names.map((name) => `${name} = excluded.${name}`).join(', ')}`,
    [nodeId, ...Object.values(columns)],
  )
}

test('a pin without nodes says that no node has a place for it', async () => {
  await using api = await openTestApi()
  const pin = await details(api, await add(api))
  assert.equal(pin.policy.name, 'default')
  assert.deepEqual(pin.policy.spec.copies, { min: 2, target: 3 })
  assert.deepEqual(pin.replicas, [])
  assert.equal(pin.explain.phase, 'placing')
  assert.match(pin.explain.waitsFor.join(' '), /0 of 3 copies have a place/)
})

test('the phase follows the copies, and the last error is told with its node', async () => {
  await using api = await openTestApi()
  const [first, second] = [
    await addNode(api.db, { name: 'a-1', region: 'a' }),
    await addNode(api.db, { name: 'b-1', region: 'b' }),
  ]
  await addNode(api.db, { name: 'c-1', region: 'c' })
  const id = await add(api)
  await setReplica(api, first, { state: 'allocated' })
  assert.equal((await details(api, id)).explain.phase, 'waiting')
  await setReplica(api, first, {
    state: 'allocated',
    error_code: 'UPSTREAM_FAILED',
    error: 'Nobody has it.',
    done_bytes: 10,
  })
  const fetching = await details(api, id)
  assert.equal(fetching.explain.phase, 'fetching')
  assert.deepEqual(fetching.explain.lastError, { node: 'a-1', code: 'UPSTREAM_FAILED', message: 'Nobody has it.' })
  await setReplica(api, second, { state: 'stored' })
  const verifying = await details(api, id)
  assert.equal(verifying.explain.phase, 'verifying')
  assert.deepEqual(
    verifying.replicas.map(({ node, region, state }) => [node, region, state]),
    [
      ['a-1', 'a', 'allocated'],
      ['b-1', 'b', 'stored'],
    ],
  )
})

test('waiting for a status answers as soon as the pin has it', async () => {
  await using api = await openTestApi()
  const id = await add(api)
  const answer = api.json<Details>('GET', `/v1/pins/${id}?wait=pinned&timeout=50s`)
  await api.db.run(`update pin set status = 'pinned' where id = $1`, [id])
  api.wakes.announce('pins', String(api.tenantId))
  assert.equal((await answer).status, 'pinned')
})

test('waiting ends with the timeout, or when the pin fails', async () => {
  await using api = await openTestApi()
  const id = await add(api)
  assert.equal((await api.json<Details>('GET', `/v1/pins/${id}?wait=pinned&timeout=1ms`)).status, 'queued')
  await api.db.run(`update pin set status = 'failed' where id = $1`, [id])
  assert.equal((await api.json<Details>('GET', `/v1/pins/${id}?wait=pinned&timeout=50s`)).explain.phase, 'failed')
})

for (const query of ['wait=done', 'wait=pinned&timeout=2m', 'wait=pinned&timeout=soon']) {
  test(`${query} is refused`, async () => {
    await using api = await openTestApi()
    const response = await api.send('GET', `/v1/pins/${await add(api)}?${query}`)
    assert.equal(response.status, 400)
    assert.equal((await failure(response)).reason, 'BAD_REQUEST')
  })
}
