import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startProviding } from '../../services/swarm/providing.ts'
import { rawCid } from '../support/test-store.ts'
import { loopbackSettings, openTestPeer, type TestPeer } from '../support/test-peer.ts'
import { until } from '../support/until.ts'

async function storeRoot({ store }: TestPeer, content: string): Promise<ReturnType<typeof rawCid>> {
  const cid = rawCid(content)
  await store.put([{ cid, bytes: Buffer.from(content) }])
  await store.commitRoot(cid)
  return cid
}

async function providersOf({ peer }: TestPeer, content: string): Promise<string[]> {
  const found: string[] = []
  for await (const { id } of peer.libp2p.contentRouting.findProviders(rawCid(content))) found.push(id.toString())
  return found
}

test('roots are announced once there is company, when asked, and in turn', { timeout: 60_000 }, async () => {
  await using middle = await openTestPeer()
  await using ours = await openTestPeer()
  await using other = await openTestPeer(loopbackSettings([middle.address]))
  await storeRoot(ours, 'held from the start')
  await using providing = startProviding(ours.peer, { intervalMs: 300, concurrency: 2 })
  assert.equal(providing.figures().announced, 0)
  await ours.peer.libp2p.dial(middle.peer.libp2p.getMultiaddrs())
  await until('the first root is announced', async () => (await providersOf(other, 'held from the start')).length > 0)
  providing.provide([await storeRoot(ours, 'stored later')])
  await until('the second root is announced', async () => (await providersOf(other, 'stored later')).length > 0)
  const before = providing.figures().announced
  await until('another turn', () => providing.figures().announced >= before + 2)
  assert.equal(providing.figures().failed, 0)
})

test('a root that was released is no longer ours to announce', { timeout: 60_000 }, async () => {
  await using middle = await openTestPeer()
  await using ours = await openTestPeer(loopbackSettings([middle.address]))
  const root = await storeRoot(ours, 'released')
  await using providing = startProviding(ours.peer, { intervalMs: 200 })
  await until('the announcement', () => providing.figures().announced > 0)
  assert.equal(await ownRecords(ours), 1)
  await ours.store.blocks.releaseRoot(root)
  await until('the record to go', async () => (await ownRecords(ours)) === 0)
})

/** Provider records that our peer keeps of itself. */
async function ownRecords({ peer }: TestPeer): Promise<number> {
  const keys = await Array.fromAsync(peer.helia.datastore.queryKeys({}))
  return keys.filter((key) => key.toString().startsWith('/dht/provider/')).length
}
