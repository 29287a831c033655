import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import * as dagCbor from '@ipld/dag-cbor'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { BaseBlockstore } from 'blockstore-core'
import { createHeliaLight } from 'helia'
import { NotFoundError } from 'interface-store'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { DAG_CBOR } from '../../services/core/cid.ts'
import { hasCode, type ErrorCode } from '../../services/core/errors.ts'
import { MAX_BLOCK_BYTES } from '../../services/core/limits.ts'
import { retrieve, type RetrieveOptions } from '../../services/swarm/retrieve.ts'
import { rawCid } from '../support/test-store.ts'
import { openTestPeer, type TestPeer } from '../support/test-peer.ts'

/** What a peer answers for a block; undefined when it says it has none. */
type Answers = (cid: CID) => Uint8Array | Promise<Uint8Array> | undefined

class AnsweringBlockstore extends BaseBlockstore {
  readonly #answers: Answers

  constructor(answers: Answers) {
    super()
    this.#answers = answers
  }

  override has(cid: CID): boolean {
    return this.#answers(cid) !== undefined
  }

  override async *get(cid: CID): AsyncGenerator<Uint8Array> {
    const answer = this.#answers(cid)
    if (answer === undefined) throw new NotFoundError()
    yield await answer
  }
}

interface Stranger extends AsyncDisposable {
  origin: string
}

/** A peer that speaks bitswap and answers as it likes. */
async function openStranger(answers: Answers): Promise<Stranger> {
  const helia = withBitswap(
    withLibp2pLight(createHeliaLight({ blockstore: new AnsweringBlockstore(answers) }), {
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
    }),
  )
  await helia.start()
  return {
    origin: String(helia.libp2p.getMultiaddrs()[0]),
    async [Symbol.asyncDispose]() {
      await helia.stop()
    },
  }
}

/** A dag-cbor root over `count` raw leaves. */
async function tree(count: number): Promise<{ root: CID; blocks: Map<string, Uint8Array>; leaves: CID[] }> {
  const blocks = new Map<string, Uint8Array>()
  const leaves = Array.from({ length: count }, (_, index) => {
    const bytes = Buffer.from(`leaf ${index}`)
    const cid = rawCid(bytes)
    blocks.set(cid.toString(), bytes)
    return cid
  })
  const bytes = dagCbor.encode(leaves)
  const root = CID.createV1(DAG_CBOR, await sha256.digest(bytes))
  blocks.set(root.toString(), bytes)
  return { root, blocks, leaves }
}

/** Keeps what comes, and answers the failure that ends the fetch. */
async function failureOf({ peer, store }: TestPeer, root: CID, options: RetrieveOptions): Promise<unknown> {
  try {
    await store.put(retrieve(peer, root, options))
    return undefined
  } catch (error) {
    return error
  }
}

function assertCode(error: unknown, code: ErrorCode): void {
  assert.ok(hasCode(error, code), `${code} expected, got ${String(error)}`)
}

const never = new Promise<Uint8Array>(() => {})
const QUICK = { silenceMs: 600, stallMs: 20_000 }

test(
  'a peer that sends other bytes than were asked for delivers nothing and is given up',
  { timeout: 30_000 },
  async () => {
    const { root, blocks, leaves } = await tree(20)
    const wrong = leaves[7]?.toString()
    await using liar = await openStranger((cid) =>
      cid.toString() === wrong ? randomBytes(64) : blocks.get(cid.toString()),
    )
    await using ours = await openTestPeer()
    const failure = await failureOf(ours, root, { origins: [liar.origin], ...QUICK })
    assertCode(failure, 'UPSTREAM_FAILED')
    assert.match(String(failure), /sent bytes that are no block asked for/)
    assert.equal(ours.store.blocks.space().blocks, 20)
    assert.ok(!ours.store.blocks.has(leaves[7] as CID))
  },
)

test('what a liar or a silent peer owes is asked of another', { timeout: 30_000 }, async () => {
  const { root, blocks } = await tree(200)
  await using liar = await openStranger((cid) => (cid.equals(root) ? blocks.get(cid.toString()) : randomBytes(64)))
  await using silent = await openStranger((cid) => (cid.equals(root) ? blocks.get(cid.toString()) : never))
  await using honest = await openStranger((cid) => blocks.get(cid.toString()))
  await using ours = await openTestPeer()
  const origins = [liar.origin, silent.origin, honest.origin]
  assert.equal(await failureOf(ours, root, { origins, ...QUICK }), undefined)
  assert.equal(ours.store.blocks.space().blocks, 201)
})

test('a block above 2 MiB ends the fetch though its hash is right', { timeout: 30_000 }, async () => {
  const bytes = randomBytes(MAX_BLOCK_BYTES + 1)
  await using stranger = await openStranger(() => bytes)
  await using ours = await openTestPeer()
  assertCode(await failureOf(ours, rawCid(bytes), { origins: [stranger.origin], ...QUICK }), 'BLOCK_TOO_LARGE')
  assert.equal(ours.store.blocks.space().blocks, 0)
})

test('a peer that stops in the middle makes the fetch time out with what was tried', { timeout: 30_000 }, async () => {
  const { root, blocks } = await tree(5)
  await using stranger = await openStranger((cid) => (cid.equals(root) ? blocks.get(cid.toString()) : never))
  await using ours = await openTestPeer()
  const failure = await failureOf(ours, root, { origins: [stranger.origin], silenceMs: 60_000, stallMs: 1_500 })
  assertCode(failure, 'TIMED_OUT')
  assert.match(String(failure), /stalled after 1 block: nothing came for 2 s; of 1 origin 1 could be reached/)
})

test('a block that no peer has is named, and a root that no peer has is not found', { timeout: 30_000 }, async () => {
  const { root, blocks, leaves } = await tree(5)
  blocks.delete(String(leaves[3]))
  await using stranger = await openStranger((cid) => blocks.get(cid.toString()))
  await using ours = await openTestPeer()
  const missing = await failureOf(ours, root, { origins: [stranger.origin], ...QUICK })
  assertCode(missing, 'BLOCK_MISSING')
  assert.match(String(missing), new RegExp(String(leaves[3])))
  const unknown = await failureOf(ours, rawCid('unknown'), { origins: [stranger.origin], ...QUICK })
  assertCode(unknown, 'NOT_FOUND')
  assert.match(String(unknown), /of 1 origin 1 could be reached, the DHT names 0 providers/)
})

test('limits on blocks and bytes end a fetch, and so does its signal', { timeout: 30_000 }, async () => {
  const { root, blocks } = await tree(50)
  await using stranger = await openStranger((cid) => (cid.equals(root) ? blocks.get(cid.toString()) : never))
  await using honest = await openStranger((cid) => blocks.get(cid.toString()))
  await using ours = await openTestPeer()
  const origins = [honest.origin]
  assertCode(await failureOf(ours, root, { origins, maxBlocks: 10 }), 'DAG_TOO_LARGE')
  assertCode(await failureOf(ours, root, { origins, maxBytes: 100 }), 'DAG_TOO_LARGE')
  await using fresh = await openTestPeer()
  const stop = new AbortController()
  const blocksOf = retrieve(fresh.peer, root, { origins: [stranger.origin], signal: stop.signal })
  assert.ok((await blocksOf.next()).value?.cid.equals(root))
  const next = blocksOf.next()
  stop.abort(new Error('enough'))
  await assert.rejects(next, /enough/)
})
