import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { pino } from 'pino'
import type { CID } from 'multiformats/cid'
import { HoldfastError } from '../../services/core/errors.ts'
import type { Block } from '../../services/dag/fetch-dag.ts'
import { multihashKey } from '../../services/dag/multihash-key.ts'
import { BlockCache } from '../../services/gateway/block-cache.ts'
import { findHolders } from '../../services/gateway/holders.ts'
import { SingleFlight } from '../../services/gateway/single-flight.ts'
import { chainSources, type GatewaySource } from '../../services/gateway/source.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { until } from '../support/until.ts'

const log = pino({ level: 'silent' })
const signal = new AbortController().signal

/** Nodes whose blocks are in this process: what the transfer client answers without its sockets. */
class Cluster {
  readonly nodes = new Map<string, MemoryBlocks>()
  readonly calls: string[] = []
  failing: string | undefined
  lying: string | undefined
  /** Answers no call for a block until it is aborted. */
  stalling: string | undefined
  /** Round trips by node. */
  readonly distances = new Map<string, number>()

  rttMs(node: string): number | undefined {
    return this.distances.get(node)
  }

  has(node: string, cids: readonly CID[]): Promise<boolean[]> {
    this.calls.push(`has ${node}`)
    if (node === this.failing) return Promise.reject(new HoldfastError('UPSTREAM_FAILED', 'The node is gone.'))
    return Promise.resolve(cids.map((cid) => this.nodes.get(node)?.has(cid) ?? false))
  }

  async block(node: string, cid: CID, options: { signal?: AbortSignal } = {}): Promise<Uint8Array | undefined> {
    this.calls.push(`block ${node}`)
    if (node === this.stalling)
      return await new Promise((_, reject) => options.signal?.addEventListener('abort', reject))
    if (node === this.failing) throw new HoldfastError('UPSTREAM_FAILED', 'The node is gone.')
    if (node === this.lying) throw new HoldfastError('HASH_MISMATCH', 'Bytes do not match.')
    return this.nodes.get(node)?.get(cid)
  }

  async *blocks(node: string, cids: readonly CID[]): AsyncGenerator<Block> {
    this.calls.push(`blocks ${node}`)
    for (const cid of cids) {
      const bytes = await this.nodes.get(node)?.get(cid)
      if (bytes !== undefined) yield { cid, bytes }
    }
  }
}

function clusterOf(...names: string[]): { cluster: Cluster; source: (own: MemoryBlocks) => GatewaySource } {
  const cluster = new Cluster()
  for (const name of names) cluster.nodes.set(name, new MemoryBlocks())
  const holders = findHolders({ client: cluster, nodes: () => names, log })
  return { cluster, source: (store) => chainSources({ store, holders, cacheBytes: 1 << 20, log }) }
}

function held(cluster: Cluster, node: string): MemoryBlocks {
  return cluster.nodes.get(node) as MemoryBlocks
}

suite('a block', () => {
  test('that this node has is read here, and no other node is asked', async () => {
    const { cluster, source } = clusterOf('frankfurt')
    const own = new MemoryBlocks()
    const cid = own.addRaw(Buffer.from('own'))
    assert.deepEqual(await source(own).of(cid).get(cid), new Uint8Array(Buffer.from('own')))
    assert.deepEqual(cluster.calls, [])
  })

  test('that another node has comes from there, and that node is asked first for the rest of the root', async () => {
    const { cluster, source } = clusterOf('frankfurt', 'virginia')
    const cid = held(cluster, 'virginia').addRaw(Buffer.from('far'))
    const next = held(cluster, 'virginia').addRaw(Buffer.from('next'))
    const blocks = source(new MemoryBlocks()).of(cid)
    assert.deepEqual(await blocks.get(cid), new Uint8Array(Buffer.from('far')))
    assert.deepEqual(cluster.calls, ['has frankfurt', 'has virginia', 'block virginia'])
    cluster.calls.length = 0
    assert.deepEqual(await blocks.get(next), new Uint8Array(Buffer.from('next')))
    assert.deepEqual(cluster.calls, ['block virginia'])
  })

  test('is taken from a further holder when the nearest fails or lies', async () => {
    const { cluster, source } = clusterOf('frankfurt', 'virginia', 'shanghai')
    for (const node of cluster.nodes.keys()) held(cluster, node).addRaw(Buffer.from('thrice'))
    cluster.failing = 'frankfurt'
    cluster.lying = 'virginia'
    const cid = new MemoryBlocks().addRaw(Buffer.from('thrice'))
    assert.deepEqual(await source(new MemoryBlocks()).of(cid).get(cid), new Uint8Array(Buffer.from('thrice')))
    assert.ok(cluster.calls.includes('block shanghai'))
  })

  test('comes from the nearest holder, and from a further one when the nearest is silent', async () => {
    const { cluster, source } = clusterOf('frankfurt', 'virginia', 'shanghai')
    const bodies = ['1', '2', '3'].map((text) => Buffer.from(text))
    for (const node of cluster.nodes.keys()) for (const bytes of bodies) held(cluster, node).addRaw(bytes)
    const [first, second, third] = bodies.map((bytes) => new MemoryBlocks().addRaw(bytes)) as [CID, CID, CID]
    const blocks = source(new MemoryBlocks()).of(first)
    await blocks.get(first)
    cluster.distances.set('frankfurt', 90).set('virginia', 3).set('shanghai', 200)
    cluster.calls.length = 0
    await blocks.get(second)
    assert.deepEqual(cluster.calls, ['block virginia'])
    cluster.calls.length = 0
    cluster.stalling = 'virginia'
    assert.deepEqual(await blocks.get(third), new Uint8Array(Buffer.from('3')))
    assert.deepEqual(cluster.calls, ['block virginia', 'block frankfurt'])
  })

  test('is asked of another holder than the blocks before it that are still on their way', async () => {
    const { cluster, source } = clusterOf('frankfurt', 'virginia', 'shanghai')
    const bodies = Array.from({ length: 13 }, (_, index) => Buffer.from(`block ${index}`))
    for (const node of cluster.nodes.keys()) for (const bytes of bodies) held(cluster, node).addRaw(bytes)
    const [root, ...others] = bodies.map((bytes) => new MemoryBlocks().addRaw(bytes)) as [CID, ...CID[]]
    const blocks = source(new MemoryBlocks()).of(root)
    await blocks.get(root)
    cluster.calls.length = 0
    await Promise.all(others.map((cid) => blocks.get(cid)))
    const byNode = [...Map.groupBy(cluster.calls, (call) => call).values()].map((calls) => calls.length)
    assert.deepEqual(byNode, [4, 4, 4])
  })

  test('is not asked of a node that has just failed while another has it', async () => {
    const { cluster, source } = clusterOf('frankfurt', 'virginia')
    const bodies = ['1', '2', '3'].map((text) => Buffer.from(text))
    for (const node of cluster.nodes.keys()) for (const bytes of bodies) held(cluster, node).addRaw(bytes)
    const [first, second, third] = bodies.map((bytes) => new MemoryBlocks().addRaw(bytes)) as [CID, CID, CID]
    const blocks = source(new MemoryBlocks()).of(first)
    await blocks.get(first)
    cluster.distances.set('frankfurt', 1).set('virginia', 50)
    cluster.failing = 'frankfurt'
    await blocks.get(second)
    cluster.calls.length = 0
    await blocks.get(third)
    assert.deepEqual(cluster.calls, ['block virginia'])
  })

  test('that nobody has is undefined', async () => {
    const { source } = clusterOf('frankfurt')
    const cid = new MemoryBlocks().addRaw(Buffer.from('nowhere'))
    assert.equal(await source(new MemoryBlocks()).of(cid).get(cid), undefined)
  })

  test('that nobody had a moment ago is asked of nobody, until it is here or a second has passed', async () => {
    const { cluster, source } = clusterOf('frankfurt')
    const own = new MemoryBlocks()
    const bytes = Buffer.from('not yet')
    const cid = new MemoryBlocks().addRaw(bytes)
    const blocks = source(own).of(cid)
    assert.equal(await blocks.get(cid), undefined)
    held(cluster, 'frankfurt').addRaw(bytes)
    assert.equal(await blocks.get(cid), undefined)
    assert.deepEqual(cluster.calls, ['has frankfurt'])
    await until('the end of the second', () => blocks.get(cid))
    own.addRaw(bytes)
    assert.deepEqual(await blocks.get(cid), new Uint8Array(bytes))
  })

  test('that this disk spoiled is taken from another holder, and the failure told when there is none', async () => {
    const { cluster, source } = clusterOf('frankfurt')
    const spoiled = new MemoryBlocks()
    spoiled.get = (cid) => Promise.reject(new HoldfastError('CORRUPT_BLOCK', `Block ${cid.toString()} is spoiled.`))
    const cid = held(cluster, 'frankfurt').addRaw(Buffer.from('whole elsewhere'))
    assert.deepEqual(await source(spoiled).of(cid).get(cid), new Uint8Array(Buffer.from('whole elsewhere')))
    const nowhere = new MemoryBlocks().addRaw(Buffer.from('spoiled everywhere'))
    await assert.rejects(source(spoiled).of(nowhere).get(nowhere), { code: 'CORRUPT_BLOCK' })
  })

  test('asked for by many at once is fetched once', async () => {
    const { cluster, source } = clusterOf('frankfurt')
    const cid = held(cluster, 'frankfurt').addRaw(Buffer.from('popular'))
    const blocks = source(new MemoryBlocks()).of(cid)
    await Promise.all(Array.from({ length: 50 }, () => blocks.get(cid)))
    assert.deepEqual(cluster.calls, ['has frankfurt', 'block frankfurt'])
  })

  test('of another node is not part of what is local', async () => {
    const { cluster, source } = clusterOf('frankfurt')
    const cid = held(cluster, 'frankfurt').addRaw(Buffer.from('remote'))
    assert.equal(await source(new MemoryBlocks()).local.get(cid), undefined)
  })
})

suite('a shared flight', () => {
  test('goes on for those who stay when one leaves, and is aborted when the last one does', async () => {
    const flights = new SingleFlight<string>()
    const { promise, resolve } = Promise.withResolvers<string>()
    let work: AbortSignal = signal
    const start = (given: AbortSignal): Promise<string> => {
      work = given
      return promise
    }
    const [first, second] = [new AbortController(), new AbortController()]
    const one = flights.share('key', start, first.signal)
    const two = flights.share('key', start, second.signal)
    first.abort()
    await assert.rejects(one, { name: 'AbortError' })
    assert.equal(work.aborted, false)
    resolve('there')
    assert.equal(await two, 'there')

    const lone = flights.share(
      'other',
      (given) => start(given).then(() => new Promise<string>(() => {})),
      second.signal,
    )
    second.abort()
    await assert.rejects(lone, { name: 'AbortError' })
    assert.equal(work.aborted, true)
  })
})

suite('the cache', () => {
  const keys = (count: number, offset = 0): string[] => {
    const blocks = new MemoryBlocks()
    return Array.from({ length: count }, (_, index) =>
      multihashKey(blocks.addRaw(Buffer.from(`block ${index + offset}`))),
    )
  }

  test('holds no more bytes than it was given, and no block above a sixteenth of them', () => {
    const cache = new BlockCache(16_000)
    for (const key of keys(1_000)) cache.offer(key, new Uint8Array(900))
    assert.ok(cache.bytes <= 16_000 && cache.bytes > 15_000)
    const large = new BlockCache(16_000)
    large.offer(keys(1)[0] as string, new Uint8Array(1_001))
    assert.equal(large.bytes, 0)
  })

  test('keeps what is often read when much passes through once', () => {
    const cache = new BlockCache(16_000)
    const popular = keys(10)
    for (const key of popular) {
      for (let reads = 0; reads < 5; reads++) cache.get(key)
      cache.offer(key, new Uint8Array(1_000))
    }
    for (const key of keys(2_000, 100)) {
      cache.get(key)
      cache.offer(key, new Uint8Array(1_000))
    }
    assert.deepEqual(
      popular.map((key) => cache.get(key)?.length),
      popular.map(() => 1_000),
    )
  })

  test('does not hold on to the buffer that a block is a view of', () => {
    const cache = new BlockCache(16_000)
    const [key] = keys(1) as [string]
    cache.offer(key, new Uint8Array(100_000).subarray(10, 20))
    assert.equal(cache.get(key)?.buffer.byteLength, 10)
  })
})
