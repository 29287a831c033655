import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as dagPb from '@ipld/dag-pb'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { DAG_PB, RAW } from '../../services/core/cid.ts'
import { matches } from '../../services/core/verify.ts'
import { retrieve } from '../../services/swarm/retrieve.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { spawnPlainHelia, type PlainHelia } from '../support/spawn-plain-helia.ts'
import { loopbackSettings, openTestPeer, type TestPeer } from '../support/test-peer.ts'
import type { NewBlock, TestStore } from '../support/test-store.ts'
import { until } from '../support/until.ts'

/** A file of `chunks` raw leaves under one dag-pb node. */
async function storeFile(store: TestStore, chunks: number, chunkBytes: number): Promise<{ cid: CID; sha256: string }> {
  const content = seededBytes(7, chunks * chunkBytes)
  const file = new UnixFS({ type: 'file' })
  const links = []
  const blocks: NewBlock[] = []
  for (let at = 0; at < content.length; at += chunkBytes) {
    const chunk = content.subarray(at, at + chunkBytes)
    const cid = CID.createV1(RAW, await sha256.digest(chunk))
    blocks.push({ cid, bytes: chunk })
    file.addBlockSize(BigInt(chunk.length))
    links.push({ Name: '', Hash: cid, Tsize: chunk.length })
  }
  const bytes = dagPb.encode(dagPb.createNode(file.marshal(), links))
  const cid = CID.createV1(DAG_PB, await sha256.digest(bytes))
  await store.put([...blocks, { cid, bytes }])
  return { cid, sha256: createHash('sha256').update(content).digest('hex') }
}

async function* checked(blocks: AsyncIterable<NewBlock>, store: TestStore): AsyncGenerator<NewBlock> {
  for await (const block of blocks) {
    assert.ok(matches(block.cid, block.bytes))
    assert.ok(!store.blocks.has(block.cid), 'a block came that the store has')
    yield block
  }
}

function peerOf({ addresses }: PlainHelia): PeerId {
  return peerIdFromString(addresses[0]?.split('/p2p/')[1] ?? '')
}

/** Fetches into the peer's own store, and answers how many blocks came. */
async function fetchAll({ peer, store }: TestPeer, root: CID, origins: string[]): Promise<number> {
  const count = await store.put(checked(retrieve(peer, root, { origins }), store))
  await store.commitRoot(root)
  return count
}

test('a plain Helia node reads a file from our peer by bitswap', { timeout: 60_000 }, async () => {
  await using ours = await openTestPeer()
  const file = await storeFile(ours.store, 300, 32_768)
  await using helia = await spawnPlainHelia()
  await helia.connect(ours.address)
  assert.equal(await helia.cat(file.cid), file.sha256)
})

test('a plain Helia node that asked before we had the file gets it when it comes', { timeout: 60_000 }, async () => {
  await using ours = await openTestPeer()
  await using elsewhere = await openTestPeer()
  const file = await storeFile(elsewhere.store, 20, 32_768)
  await using helia = await spawnPlainHelia()
  await helia.connect(ours.address)
  const reading = helia.cat(file.cid)
  await until('a want for the file', () => ours.peer.serving.wantsOf(peerOf(helia)) > 0)
  await storeFile(ours.store, 20, 32_768)
  await ours.peer.serving.lookAgain()
  assert.equal(await reading, file.sha256)
})

test(
  'our peer fetches a file, a sharded directory and dag-cbor from the origins of a pin',
  { timeout: 60_000 },
  async () => {
    await using helia = await spawnPlainHelia()
    const file = await helia.addFile({ bytes: 20_000_000 })
    const directory = await helia.addDirectory(2_000)
    const cbor = await helia.addCbor([file, directory, file])
    await using ours = await openTestPeer()
    const unreachable = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust'
    assert.ok((await fetchAll(ours, file, ['/ip4/127.0.0.1/tcp/4001', unreachable, ...helia.addresses])) > 70)
    assert.ok((await fetchAll(ours, directory, helia.addresses)) > 2_000)
    assert.equal(await fetchAll(ours, cbor, helia.addresses), 1)
  },
)

test('our peer finds a DAG by provider records of the DHT alone', { timeout: 60_000 }, async () => {
  await using middle = await openTestPeer()
  await using helia = await spawnPlainHelia()
  const file = await helia.addFile({ bytes: 3_000_000 })
  await helia.connect(middle.address)
  await helia.provide(file)
  await using ours = await openTestPeer(loopbackSettings([middle.address]))
  await until('the DHT knows the middle peer', () => ours.peer.libp2p.services.dht.routingTable.size > 0)
  assert.ok((await fetchAll(ours, file, [])) > 10)
})

test('a fetch that is repeated brings only what is lacking', { timeout: 60_000 }, async () => {
  await using helia = await spawnPlainHelia()
  const file = await helia.addFile({ bytes: 5_000_000 })
  await using ours = await openTestPeer()
  await ours.store.put(first(8, retrieve(ours.peer, file, { origins: helia.addresses })))
  const total = Math.ceil(5_000_000 / 262_144) + 1
  assert.equal(await fetchAll(ours, file, helia.addresses), total - 8)
  assert.equal(await fetchAll(ours, file, []), 0)
})

async function* first<T>(count: number, source: AsyncIterable<T>): AsyncGenerator<T> {
  let left = count
  for await (const item of source) {
    yield item
    left -= 1
    if (left === 0) return
  }
}
