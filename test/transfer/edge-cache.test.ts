import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { pino } from 'pino'
import type { CID } from 'multiformats/cid'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import type { StoredRoot } from '../../services/blocks/contract.ts'
import { cidKey } from '../../services/core/cid.ts'
import { readFile } from '../../services/dag/read-file.ts'
import { EdgeBlocks } from '../../services/gateway/edge-blocks.ts'
import { findHolders } from '../../services/gateway/holders.ts'
import { chainSources, type GatewaySource } from '../../services/gateway/source.ts'
import { EdgeCache, edgeStoreFolder, type EdgeCacheOptions } from '../../services/node/edge-cache.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'
import { lying, Nodes, storeFile, type TestNode } from './nodes.ts'

const MIB = 1_024 * 1_024
const log = pino({ level: 'silent' })

interface Setting {
  nodes: Nodes
  edge: TestNode
  holder: TestNode
  /** Calls that the holder has answered with a block or blocks. */
  served: () => number
  open: (options?: Partial<EdgeCacheOptions>) => Promise<EdgeCache>
  /** A gateway's source over the cache; what it reads is told at once. */
  gatewayOver: (cache: EdgeCache) => GatewaySource
}

async function atTheEdge(check: (setting: Setting) => Promise<void>): Promise<void> {
  await using nodes = await Nodes.open()
  const edge = await nodes.add('edge')
  let calls = 0
  const holder = await nodes.add('holder', {
    serves: (store) =>
      lying(store, {
        get(cid, options) {
          calls += 1
          return store.get(cid, options)
        },
        sections(cids, options) {
          calls += 1
          return store.sections(cids, options)
        },
      }),
  })
  const common = { openStore: openBlockStore, store: edge.store, client: edge.client, log, everyMs: 10 }
  await check({
    nodes,
    edge,
    holder,
    served: () => calls,
    open: (options) =>
      EdgeCache.open({
        ...common,
        folder: join(nodes.folder, 'edge-state'),
        budgetBytes: 20 * MIB,
        nodes: () => ['holder'],
        ...options,
      }),
    gatewayOver: (cache) =>
      chainSources({
        store: edge.store,
        edge: nodes.use(new EdgeBlocks({ store: cache.store, tell: (reads) => cache.heard(reads), tellEveryMs: 5 })),
        holders: findHolders({ client: edge.client, nodes: () => ['holder'], log }),
        cacheBytes: 0,
        log,
      }),
  })
}

async function read(source: GatewaySource, root: CID): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(readFile(root, source.of(root))))
}

function reads(...roots: [StoredRoot, number][]): { roots: [string, number][]; spoiled: string[] } {
  return { roots: roots.map(([{ cid }, bytes]) => [cidKey(cid), bytes]), spoiled: [] }
}

suite('the edge cache', () => {
  test('takes a root that is read more than once over, and readers need no other node from then on', async () => {
    await atTheEdge(async ({ edge, holder, served, open, gatewayOver }) => {
      const bytes = seededBytes(1, 3 * MIB)
      const { cid } = await storeFile(holder.store, bytes)
      await using cache = await open()
      const source = gatewayOver(cache)
      for (let times = 0; times < 2; times++) assert.ok((await read(source, cid)).equals(bytes))
      await until('the root is taken', () => cache.store.root(cid))
      const before = served()
      assert.ok((await read(source, cid)).equals(bytes))
      assert.equal(served(), before)
      assert.equal(edge.store.root(cid), undefined)
      assert.deepEqual([...edge.store.roots()], [])
    })
  })

  test('takes no root of which less was read than it has', async () => {
    await atTheEdge(async ({ holder, open }) => {
      const little = await storeFile(holder.store, seededBytes(1, 4 * MIB))
      const much = await storeFile(holder.store, seededBytes(2, 2 * MIB))
      await using cache = await open()
      cache.heard(reads([little, 3 * MIB]))
      cache.heard(reads([much, 3 * MIB]))
      await until('a root is taken', () => cache.store.root(much.cid))
      assert.equal(cache.store.root(little.cid), undefined)
      cache.heard(reads([little, 2 * MIB]))
      await until('a root is taken', () => cache.store.root(little.cid))
    })
  })

  test('stays within its budget: the root used longest ago goes, and its space is given back', async () => {
    await atTheEdge(async ({ holder, open }) => {
      const files = await Promise.all([1, 2, 3].map((seed) => storeFile(holder.store, seededBytes(seed, 4 * MIB))))
      const [first, second, third] = files as [StoredRoot, StoredRoot, StoredRoot]
      await using cache = await open({ budgetBytes: 9 * MIB })
      for (const file of [first, second]) {
        cache.heard(reads([file, 5 * MIB]))
        await until('a root is taken', () => cache.store.root(file.cid))
      }
      cache.heard(reads([first, 1]))
      cache.heard(reads([third, 8 * MIB]))
      await until('a root is taken', () => cache.store.root(third.cid))
      assert.equal(cache.store.root(second.cid), undefined)
      assert.notEqual(cache.store.root(first.cid), undefined)
      assert.ok(cache.store.space().storedBytes < 9 * MIB)
    })
  })

  test('gives up nothing for a root that is read less, and takes none above half of its budget', async () => {
    await atTheEdge(async ({ holder, open }) => {
      const popular = await storeFile(holder.store, seededBytes(1, 4 * MIB))
      const liked = await storeFile(holder.store, seededBytes(5, 4 * MIB))
      const passing = await storeFile(holder.store, seededBytes(2, 4 * MIB))
      const large = await storeFile(holder.store, seededBytes(3, 5 * MIB))
      const small = await storeFile(holder.store, seededBytes(4, MIB / 2))
      await using cache = await open({ budgetBytes: 9 * MIB })
      cache.heard(reads([popular, 50 * MIB], [liked, 40 * MIB]))
      await until('a root is taken', () => cache.store.root(popular.cid))
      await until('another root is taken', () => cache.store.root(liked.cid))
      cache.heard(reads([large, 90 * MIB], [passing, 10 * MIB], [small, 2 * MIB]))
      await until('a root is taken', () => cache.store.root(small.cid))
      assert.deepEqual(
        [large, passing, popular, liked].map(({ cid }) => cache.store.root(cid) !== undefined),
        [false, false, true, true],
      )
    })
  })

  test('lets go of a root that the node itself holds by now, whose own copy stays', async () => {
    await atTheEdge(async ({ edge, holder, open }) => {
      const bytes = seededBytes(1, 2 * MIB)
      const file = await storeFile(holder.store, bytes)
      await using cache = await open()
      cache.heard(reads([file, 3 * MIB]))
      await until('a root is taken', () => cache.store.root(file.cid))
      await storeFile(edge.store, bytes)
      await until('the root is let go', () => cache.store.root(file.cid) === undefined)
      assert.deepEqual((await edge.store.verifyRoot(file.cid))?.bad, [])
    })
  })

  test('keeps roots and the order of their use over a restart, also without the file of that order', async () => {
    await atTheEdge(async ({ nodes, holder, open }) => {
      const files = await Promise.all([1, 2, 3].map((seed) => storeFile(holder.store, seededBytes(seed, 4 * MIB))))
      const [first, second, third] = files as [StoredRoot, StoredRoot, StoredRoot]
      {
        await using cache = await open({ budgetBytes: 9 * MIB })
        for (const file of [first, second]) {
          cache.heard(reads([file, 5 * MIB]))
          await until('a root is taken', () => cache.store.root(file.cid))
        }
        cache.heard(reads([first, 1]))
      }
      {
        await using cache = await open({ budgetBytes: 9 * MIB })
        cache.heard(reads([third, 5 * MIB]))
        await until('a root is taken', () => cache.store.root(third.cid))
        assert.equal(cache.store.root(second.cid), undefined)
        assert.notEqual(cache.store.root(first.cid), undefined)
      }
      await writeFile(join(nodes.folder, 'edge-state', 'edge-cache', 'last-use.json'), 'spoiled')
      await using cache = await open({ budgetBytes: 9 * MIB })
      cache.heard(reads([second, 5 * MIB]))
      await until('a root is taken', () => cache.store.root(second.cid))
      assert.ok([...cache.store.roots()].length === 2)
    })
  })

  test('a node that claims a root and does not deliver costs nothing but the attempt', async () => {
    await atTheEdge(async ({ nodes, holder, open }) => {
      await nodes.add('liar', {
        serves: (store) =>
          lying(store, {
            root: (cid) => ({ cid, blocks: 3, bytes: MIB }),
            manifest: (root) => [{ cid: root, length: MIB }],
            get: () => Promise.resolve(Buffer.from('not that block')),
          }),
      })
      const elsewhere = await storeFile(holder.store, seededBytes(1, 2 * MIB))
      const honest = await storeFile(holder.store, seededBytes(2, 2 * MIB))
      let up = ['liar']
      await using cache = await open({ nodes: () => up })
      cache.heard(reads([elsewhere, 5 * MIB]))
      cache.heard(reads([honest, 3 * MIB]))
      up = ['liar', 'holder']
      await until('the honest root is taken', () => {
        cache.heard(reads([honest, MIB]))
        return cache.store.root(honest.cid) !== undefined
      })
      assert.ok([...cache.store.roots()].every(({ cid }) => cid.equals(honest.cid) || cid.equals(elsewhere.cid)))
    })
  })

  test('is read by a gateway in another process, whose reads count', async () => {
    await atTheEdge(async ({ nodes, holder, open }) => {
      const bytes = seededBytes(1, 2 * MIB)
      const file = await storeFile(holder.store, bytes)
      await using cache = await open()
      cache.heard(reads([file, 3 * MIB]))
      await until('a root is taken', () => cache.store.root(file.cid))
      await using reader = await openBlockReader(edgeStoreFolder(join(nodes.folder, 'edge-state')))
      const told: [string, number][] = []
      {
        using blocks = new EdgeBlocks({ store: reader, tell: ({ roots }) => told.push(...roots) })
        const source = { get: (cid: CID) => blocks.get(cid, file.cid) }
        assert.ok(Buffer.concat(await Array.fromAsync(readFile(file.cid, source))).equals(bytes))
      }
      assert.deepEqual(told, [[cidKey(file.cid), file.bytes]])
    })
  })
})
