import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registered, registrationMessage, SyncResponse } from '../../services/core/sync.ts'
import { webApplication } from '../../services/runtime/http/application.ts'
import { door } from '../../services/runtime/http/mount.ts'
import { listen } from '../../services/runtime/http/server.ts'
import { openLog } from '../../services/runtime/log.ts'
import { sessionGate, syncRoutes } from '../../services/scheduler/sync-routes.ts'
import { simulatedCluster } from '../support/simulated-cluster.ts'
import { SimulatedNode } from '../support/simulated-node.ts'

test('nodes register and sync over HTTP; a session that has ended is refused', async () => {
  await using cluster = await simulatedCluster({ schedulers: 0 })
  const application = webApplication({
    doors: [door(syncRoutes(cluster.sync), sessionGate)],
    log: openLog('error', {}),
    checkAnswers: true,
  })
  await using server = await listen(application, { host: '127.0.0.1', port: 0, settingName: 'HOLDFAST_API_PORT' })
  const post = async (path: string, body: unknown, session?: string): Promise<{ status: number; answer: unknown }> => {
    const response = await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(session !== undefined && { authorization: `Bearer ${session}` }),
      },
      body: JSON.stringify(body),
    })
    return { status: response.status, answer: await response.json() }
  }
  const node = new SimulatedNode(cluster.sync, cluster.world, { name: 'a', region: 'a', joinToken: cluster.joinToken })
  const register = async (): Promise<Registered> => {
    const { challenge } = (await post('/cluster/challenge', {})).answer as { challenge: string }
    const { answer } = await post('/cluster/register', {
      publicKey: node.publicKey,
      joinToken: cluster.joinToken,
      labels: { region: 'frankfurt' },
      capacityBytes: 1_000,
      transfer: 'a:1',
      gateway: 'http://a',
      challenge,
      proof: node.sign(registrationMessage(challenge, node.publicKey)),
    })
    return Registered.parse(answer)
  }
  const beat = { capacityBytes: 1_000, freeBytes: 900, storedBytes: 0, blocks: 0, roots: 0, addresses: [] }
  const request = { beat, reports: [], slots: 1, directory: '', waitMs: 0 }

  const first = await register()
  assert.equal(first.name, 'frankfurt-1')
  const { status, answer } = await post('/cluster/sync', request, first.session)
  assert.equal(status, 200)
  assert.equal(SyncResponse.parse(answer).inventoryWanted, true)

  assert.equal((await post('/cluster/sync', request)).status, 401)
  assert.equal((await post('/cluster/sync', { ...request, slots: -1 }, first.session)).status, 400)
  await register()
  const ended = await post('/cluster/sync', request, first.session)
  assert.deepEqual((ended.answer as { error: { reason: string } }).error.reason, 'STALE_SESSION')
})
