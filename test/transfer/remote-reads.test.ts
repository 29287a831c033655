import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, suite, test } from 'node:test'
import { pino } from 'pino'
import type { BlockReader, BlockStore } from '../../services/blocks/contract.ts'
import { RAW } from '../../services/core/cid.ts'
import { findHolders } from '../../services/gateway/holders.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import type { TransferClient } from '../../services/transfer/client.ts'
import { cidOf } from '../support/dag.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { ask, carCids, openGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { lying, Nodes, storeFile, type TestNode } from './nodes.ts'

const MIB = 1_024 * 1_024
const LARGE = seededBytes(21, 64 * MIB)
/** Of 1 MiB, and the root. */
const LARGE_BLOCKS = 65
const FILE = seededBytes(22, 12 * MIB)
const log = pino({ level: 'silent' })

/** A client that notes each call, and from whom blocks came. */
function noting(client: TransferClient): { client: TransferClient; calls: string[]; blocksFrom: Map<string, number> } {
  const calls: string[] = []
  const blocksFrom = new Map<string, number>()
  const count = (node: string): void => void blocksFrom.set(node, (blocksFrom.get(node) ?? 0) + 1)
  return {
    calls,
    blocksFrom,
    client: {
      ...client,
      async has(node, cids, options) {
        calls.push(`has ${node}`)
        return await client.has(node, cids, options)
      },
      async block(node, cid, options) {
        calls.push(`block ${node}`)
        const bytes = await client.block(node, cid, options)
        if (bytes !== undefined) count(node)
        return bytes
      },
      async *blocks(node, cids, options) {
        calls.push(`blocks ${node}`)
        for await (const block of client.blocks(node, cids, options)) {
          count(node)
          yield block
        }
      },
    },
  }
}

/** A node that holds nothing, with its gateway. */
interface Edge {
  gateway: Gateway
  calls: string[]
  blocksFrom: Map<string, number>
}

async function openEdge(nodes: Nodes, reader: TestNode, others: readonly string[], cacheBytes = 0): Promise<Edge> {
  const { client, calls, blocksFrom } = noting(reader.client)
  const holders = findHolders({ client, nodes: () => others, log })
  const gateway = nodes.use(await openGateway(reader.store, { holders, settings: { cacheBytes } }))
  return { gateway, calls, blocksFrom }
}

/** Whether the body is the file; a failed `deepEqual` of so many bytes would print them. */
function isFile(body: Buffer, file: Uint8Array): boolean {
  return body.equals(file)
}

suite('a large file that three nodes hold', () => {
  let nodes: Nodes
  let reader: TestNode
  let path: string
  const names = ['one', 'two', 'three']

  before(async () => {
    nodes = await Nodes.open()
    reader = await nodes.add('reader')
    for (const name of names) {
      const { store } = await nodes.add(name)
      path = `/ipfs/${(await storeFile(store, LARGE)).cid.toString()}`
    }
  })
  after(() => nodes[Symbol.asyncDispose]())

  test('is read from all three at once, in few calls', async () => {
    const edge = await openEdge(nodes, reader, names)
    const { status, body } = await ask(edge.gateway.url, path)
    assert.equal(status, 200)
    assert.ok(isFile(body, LARGE))
    assert.deepEqual([...edge.blocksFrom.keys()].sort(), [...names].sort())
    // The root, who holds it, and about two MiB a call.
    assert.ok(edge.calls.length <= 50, `${edge.calls.length} calls`)
  })

  test('gives a range without the blocks beside it', async () => {
    const edge = await openEdge(nodes, reader, names)
    const headers = { range: `bytes=${30 * MIB}-${31 * MIB - 1}` }
    const { status, body } = await ask(edge.gateway.url, `${path}?filename=a.bin`, { headers })
    assert.equal(status, 206)
    assert.ok(isFile(body, LARGE.subarray(30 * MIB, 31 * MIB)))
    const blocks = [...edge.blocksFrom.values()].reduce((sum, count) => sum + count, 0)
    assert.ok(blocks <= 8, `${blocks} blocks`)
  })

  test('is a CAR in as few calls, with each block once and in order', async () => {
    const edge = await openEdge(nodes, reader, names)
    const { body } = await ask(edge.gateway.url, `${path}?format=car`)
    const [root = ''] = path.split('/').slice(2)
    const own = await openGateway((await nodes.add('fourth')).store, {
      holders: findHolders({ client: reader.client, nodes: () => ['one'], log }),
    })
    nodes.use(own)
    assert.deepEqual(await carCids(body), await carCids((await ask(own.url, `${path}?format=car`)).body))
    assert.equal((await carCids(body))[0], root)
    assert.ok(edge.calls.length <= 50, `${edge.calls.length} calls`)
  })

  test('is fetched once for many who read it at the same time', async () => {
    const edge = await openEdge(nodes, reader, names, 128 * MIB)
    const reads = await Promise.all(Array.from({ length: 4 }, () => ask(edge.gateway.url, path)))
    for (const { body } of reads) assert.ok(isFile(body, LARGE))
    const blocks = [...edge.blocksFrom.values()].reduce((sum, count) => sum + count, 0)
    // One by one they would fetch four times as many; slow answers are asked of a second holder, too.
    assert.ok(blocks <= LARGE_BLOCKS * 2, `${blocks} blocks`)
  })
})

suite('a file of which not every holder is honest and well', () => {
  async function read(lies: (store: BlockStore) => Partial<BlockReader>): Promise<Edge> {
    await using nodes = await Nodes.open()
    const reader = await nodes.add('reader')
    const bad = await nodes.add('bad', { serves: (store) => lying(store, lies(store)) })
    const good = await nodes.add('good')
    const { cid } = await storeFile(bad.store, FILE)
    await storeFile(good.store, FILE)
    const edge = await openEdge(nodes, reader, ['bad', 'good'])
    const { status, body } = await ask(edge.gateway.url, `/ipfs/${cid.toString()}?filename=a.bin`)
    assert.equal(status, 200)
    assert.ok(isFile(body, FILE))
    return edge
  }

  const never = (signal: AbortSignal | undefined): Promise<never> =>
    delay(600_000, undefined, { signal: signal ?? AbortSignal.timeout(1) }) as Promise<never>

  test('comes whole when one sends wrong bytes', async () => {
    await read((store) => ({
      async *sections(cids, options) {
        for await (const chunk of store.sections(cids, options)) {
          const spoiled = Buffer.from(chunk)
          spoiled[spoiled.length - 1] = (spoiled.at(-1) ?? 0) ^ 1
          yield spoiled
        }
      },
      get: () => Promise.resolve(Buffer.from('not that block')),
    }))
  })

  test('comes whole when one stops in the middle, which is then left alone', async () => {
    const { calls } = await read((store) => ({
      async *sections(cids, options) {
        for await (const chunk of store.sections(cids, options)) {
          yield chunk.subarray(0, 1_000)
          await never(options?.signal)
        }
      },
      get: (_, options) => never(options?.signal),
    }))
    assert.ok(calls.filter((call) => call === 'blocks bad').length <= 8, calls.join())
  })

  test('comes whole when one has the root alone', async () => {
    await read((store) => {
      const first = (cid: Parameters<BlockStore['has']>[0]): boolean => store.root(cid) !== undefined
      return {
        has: first,
        sizeOf: (cid) => (first(cid) ? store.sizeOf(cid) : undefined),
        get: async (cid, options) => (first(cid) ? await store.get(cid, options) : undefined),
      }
    })
  })

  test('comes whole when one is slow', async () => {
    await read((store) => ({
      async *sections(cids, options) {
        for await (const chunk of store.sections(cids, options)) {
          await delay(200, undefined, { signal: options?.signal ?? AbortSignal.timeout(1_000) })
          yield chunk
        }
      },
    }))
  })

  test('comes whole from the other when one dies meanwhile', async () => {
    await using nodes = await Nodes.open()
    const reader = await nodes.add('reader')
    const dying = await nodes.add('dying')
    const { cid } = await storeFile(dying.store, FILE)
    await storeFile((await nodes.add('good')).store, FILE)
    const edge = await openEdge(nodes, reader, ['dying', 'good'])
    const reading = ask(edge.gateway.url, `/ipfs/${cid.toString()}?filename=a.bin`)
    await until('the first block of the dying node', () => Promise.resolve(edge.blocksFrom.get('dying')))
    await dying.server[Symbol.asyncDispose]()
    assert.ok(isFile((await reading).body, FILE))
  })
})

suite('a node that takes connections and says nothing', () => {
  test('is left alone after the first calls, while another has it all', async () => {
    await using nodes = await Nodes.open()
    const reader = await nodes.add('reader')
    const good = await nodes.add('good')
    const hung = await nodes.add('hung')
    const { cid } = await storeFile(good.store, FILE)
    await storeFile(hung.store, FILE)
    const edge = await openEdge(nodes, reader, ['hung', 'good'])
    const path = `/ipfs/${cid.toString()}?filename=a.bin`
    const small = await ask(edge.gateway.url, path, { headers: { range: 'bytes=0-4000000' } })
    assert.equal(small.status, 206)
    assert.deepEqual([...edge.blocksFrom.keys()].sort(), ['good', 'hung'])
    edge.calls.length = 0
    await using mute = await openMute()
    const address = nodes.directory.nodes.get('hung')
    assert.ok(address !== undefined)
    nodes.directory.nodes.set('hung', { ...address, port: mute.port })
    for (let reads = 0; reads < 3; reads++) {
      assert.ok(isFile((await ask(edge.gateway.url, path)).body, FILE))
    }
    const callsTo = (node: string): number => edge.calls.filter((call) => call.endsWith(` ${node}`)).length
    assert.ok(callsTo('hung') * 2 <= callsTo('good'), edge.calls.join())
  })
})

suite('a flood of requests for what nobody has', () => {
  test('asks each node in few calls, and no node that says nothing', async () => {
    await using nodes = await Nodes.open()
    const reader = await nodes.add('reader')
    await nodes.add('good')
    const hung = await nodes.add('hung')
    await using mute = await openMute()
    const { publicKey } = hung.identity
    nodes.directory.nodes.set('hung', { publicKey, host: '127.0.0.1', port: mute.port })
    const { client, calls } = noting(reader.client)
    const holders = findHolders({ client, nodes: () => ['good', 'hung'], log })
    const signal = new AbortController().signal
    const flood = (from: number): Promise<(Uint8Array | undefined)[]> =>
      Promise.all(
        Array.from({ length: 500 }, (_, index) => {
          const cid = cidOf(RAW, Buffer.from(`unknown ${from + index}`))
          return holders.find(cid, cid, { signal })
        }),
      )
    for (let round = 0; calls.includes('has hung') || round === 0; round++) {
      calls.length = 0
      assert.ok((await flood(round * 500)).every((bytes) => bytes === undefined))
      assert.ok(calls.length <= 12, calls.join())
      assert.ok(round < 5)
    }
  })
})

/** A listener that never says a word. */
async function openMute(): Promise<AsyncDisposable & { port: number }> {
  const sockets: Parameters<Parameters<typeof createServer>[1] & object>[0][] = []
  const server: Server = createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
