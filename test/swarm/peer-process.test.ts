import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { hasCode } from '../../services/core/errors.ts'
import { matches } from '../../services/core/verify.ts'
import { supervisePeer, type PeerCommand } from '../../services/node/peer-process.ts'
import { connectPeer } from '../../services/swarm/client.ts'
import { isAlive, openTestNode, peerCommand, type TestNode } from '../support/peer-command.ts'
import { rawCid } from '../support/test-store.ts'
import { spawnPlainHelia } from '../support/spawn-plain-helia.ts'
import { silentLog } from '../support/test-peer.ts'
import { until } from '../support/until.ts'

function commandOf({ socketPath, storeFolder }: TestNode): PeerCommand {
  return peerCommand({ socketPath, storeFolder })
}

const PARENT = fileURLToPath(new URL('../support/peer-parent.ts', import.meta.url))

test('a DAG comes from the network through the peer process, whole and verified', { timeout: 60_000 }, async () => {
  await using helia = await spawnPlainHelia()
  const file = await helia.addFile({ bytes: 8_000_000 })
  await using node = await openTestNode()
  await using supervised = supervisePeer(commandOf(node), { log: silentLog })
  await supervised.ready()
  const { client } = supervised
  const { store } = node
  assert.equal(await store.put(client.fetch(file, { origins: helia.addresses })), Math.ceil(8_000_000 / 262_144) + 1)
  await store.commitRoot(file)
  assert.equal(await store.put(client.fetch(file)), 0, 'the peer process sees what the node has stored')
  await client.provide([file])
  const bytes = await client.block(file, { timeoutMs: 5_000 })
  assert.ok(bytes !== undefined && matches(file, bytes))
  assert.equal(await client.block(rawCid('nowhere'), { timeoutMs: 5_000 }), undefined)
  const status = await client.status()
  assert.ok(status.multiaddrs[0]?.endsWith(`/p2p/${status.peerId}`))
  assert.ok(status.connections > 0)
})

test('a fetch that cannot begin or cannot go on fails with the reason', { timeout: 60_000 }, async () => {
  await using helia = await spawnPlainHelia()
  const file = await helia.addFile({ bytes: 8_000_000 })
  await using node = await openTestNode()
  await using supervised = supervisePeer(commandOf(node), { log: silentLog })
  await supervised.ready()
  const { client } = supervised
  await assert.rejects(
    async () => await Array.fromAsync(client.fetch(rawCid('nowhere'), { origins: helia.addresses })),
    (error) => hasCode(error, 'NOT_FOUND') && error.message.includes('of 1 origin 1 could be reached'),
  )
  await assert.rejects(
    async () => await Array.fromAsync(client.fetch(file, { origins: helia.addresses, maxBytes: 3_000_000 })),
    (error) => hasCode(error, 'DAG_TOO_LARGE'),
  )
  const { connected, ignored } = await client.connect(['/ip4/1.2.3.4/tcp/1', ...helia.addresses])
  assert.equal(connected.length, 1)
  assert.deepEqual(ignored, [{ address: '/ip4/1.2.3.4/tcp/1', reason: 'it does not end in /p2p/ and a peer id' }])
})

test('a caller that leaves ends the fetch, and the peer process goes on', { timeout: 60_000 }, async () => {
  await using helia = await spawnPlainHelia()
  const file = await helia.addFile({ bytes: 8_000_000 })
  await using node = await openTestNode()
  await using supervised = supervisePeer(commandOf(node), { log: silentLog })
  await supervised.ready()
  const begun = supervised.client.fetch(file, { origins: helia.addresses })
  await begun.next()
  await begun.return()
  const stop = new AbortController()
  const fetching = Array.fromAsync(supervised.client.fetch(file, { origins: helia.addresses, signal: stop.signal }))
  stop.abort(new Error('enough'))
  await assert.rejects(fetching, /enough/)
  const all = await Array.fromAsync(supervised.client.fetch(file, { origins: helia.addresses }))
  assert.equal(all.length, 32)
})

test('a peer process that is killed comes back behind the same client', { timeout: 60_000 }, async () => {
  await using node = await openTestNode()
  await using supervised = supervisePeer(commandOf(node), { log: silentLog })
  const { client } = supervised
  await supervised.ready()
  const first = supervised.pid ?? 0
  const { peerId } = await client.status()
  process.kill(first, 'SIGKILL')
  await until('the end of the first child', () => supervised.pid !== first)
  await supervised.ready()
  assert.notEqual(supervised.pid, first)
  assert.notEqual((await client.status()).peerId, peerId, 'the test peer makes a new key at each start')
})

test('a peer process that hangs is replaced; one whose parent stood still is not', { timeout: 60_000 }, async () => {
  await using node = await openTestNode()
  const hangMs = 8_000
  await using supervised = supervisePeer(commandOf(node), { log: silentLog, hangMs })
  await supervised.ready()
  const first = supervised.pid ?? 0
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, hangMs + 500)
  await supervised.client.status()
  assert.equal(supervised.pid, first)
  process.kill(first, 'SIGSTOP')
  await until('the end of the first child', () => supervised.pid !== first)
  await supervised.ready()
  assert.ok(!isAlive(first))
})

test('a fetch whose peer process dies in the stream is a failure, never a short DAG', { timeout: 60_000 }, async () => {
  await using helia = await spawnPlainHelia()
  const file = await helia.addFile({ bytes: 60_000_000 })
  await using node = await openTestNode()
  await using supervised = supervisePeer(commandOf(node), { log: silentLog })
  await supervised.ready()
  const blocks = supervised.client.fetch(file, { origins: helia.addresses })
  await blocks.next()
  process.kill(supervised.pid ?? 0, 'SIGKILL')
  await assert.rejects(
    async () => await Array.fromAsync(blocks),
    (error) => hasCode(error, 'UNAVAILABLE'),
  )
})

test('a peer process that dies of a defect is started again each time', { timeout: 60_000 }, async () => {
  await using node = await openTestNode()
  await using supervised = supervisePeer(commandOf(node), { log: silentLog })
  const seen = new Set<number>()
  for (let round = 0; round < 3; round++) {
    await supervised.ready()
    const pid = supervised.pid ?? 0
    assert.ok(!seen.has(pid))
    seen.add(pid)
    process.kill(pid, 'SIGUSR2')
    await until('the crash', () => supervised.pid !== pid)
  }
})

test('no peer process outlives its parent', { timeout: 60_000 }, async () => {
  await using node = await openTestNode()
  const parent = spawn(process.execPath, [PARENT, node.socketPath, node.storeFolder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  const pid = Number(line.toString())
  assert.ok(isAlive(pid))
  parent.kill('SIGKILL')
  await until('the end of the child', () => !isAlive(pid), 10_000)
})

test('without a peer process every call answers UNAVAILABLE', async () => {
  await using node = await openTestNode()
  using client = connectPeer(node.socketPath)
  await assert.rejects(client.status(), (error) => hasCode(error, 'UNAVAILABLE'))
  await assert.rejects(client.block(rawCid('x')), (error) => hasCode(error, 'UNAVAILABLE'))
  await assert.rejects(client.provide([rawCid('x')]), (error) => hasCode(error, 'UNAVAILABLE'))
  await assert.rejects(client.fetch(rawCid('x')).next(), (error) => hasCode(error, 'UNAVAILABLE'))
})
