import assert from 'node:assert/strict'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BlockStore, StoredRoot } from '../../services/blocks/contract.ts'
import { HoldfastError } from '../../services/core/errors.ts'
import type { Directory, Work } from '../../services/core/sync.ts'
import { runAgent } from '../../services/node/agent.ts'
import { BeatSource } from '../../services/node/beat.ts'
import { connectControl } from '../../services/node/control-client.ts'
import { DirectoryFile } from '../../services/node/directory-file.ts'
import { Inventory } from '../../services/node/inventory.ts'
import { NO_RULES } from '../../services/core/rules-in-force.ts'
import { Jobs, type JobsOptions } from '../../services/node/jobs.ts'
import { Outbox } from '../../services/node/outbox.ts'
import { openLog } from '../../services/runtime/log.ts'
import { openTransferClient } from '../../services/transfer/client.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'
import { TestControlPlane } from './control-plane.ts'
import { isWhole, lying, Nodes, storeFile, storeFiles, type TestNode } from './nodes.ts'

const MIB = 1_024 * 1_024
const log = openLog('silent', {})

interface Agent {
  plane: TestControlPlane
  nodes: Nodes
  node: TestNode
  directory: DirectoryFile
  provided: string[]
}

/** A network that has what the store has. */
function networkOf(store: BlockStore | undefined, provided: string[] = []): JobsOptions['peer'] {
  return {
    async *fetch(root) {
      if (store?.root(root) === undefined) throw new HoldfastError('NOT_FOUND', 'Nobody has it.')
      for (const { cid } of store.manifest(root)) yield { cid, bytes: (await store.get(cid)) ?? new Uint8Array(0) }
    },
    async provide(roots) {
      provided.push(...roots.map(String))
    },
  }
}

interface Setting {
  network?: (nodes: Nodes) => Promise<BlockStore>
  prepare?: (nodes: Nodes) => Promise<void>
  stallMs?: number
}

/** Runs a node's agent against the test's control plane while `check` looks on. */
async function withAgent(
  check: (agent: Agent) => Promise<void>,
  { network, prepare, stallMs = 500 }: Setting = {},
): Promise<void> {
  await using nodes = await Nodes.open()
  await prepare?.(nodes)
  const plane = nodes.use(await TestControlPlane.start())
  const node = await nodes.add('node')
  plane.directory = directoryOf(nodes, '1')
  const directory = await DirectoryFile.open(join(nodes.folder, 'directory.json'))
  const client = nodes.use(openTransferClient({ identity: node.identity, directory, stallMs }))
  const outbox = new Outbox()
  const provided: string[] = []
  const peer = networkOf(await network?.(nodes), provided)
  const jobs = nodes.use(new Jobs({ store: node.store, client, peer, outbox, rules: NO_RULES, log }))
  const status = (): Promise<never> => Promise.reject(new HoldfastError('UNAVAILABLE', 'No peer process.'))
  const beats = new BeatSource({ store: node.store, peer: { status }, capacityBytes: undefined })
  const stop = new AbortController()
  const running = runAgent({
    control: connectControl(plane.url),
    identity: node.identity,
    about: {
      name: 'node',
      labels: { region: 'here' },
      capacityBytes: beats.capacityBytes(),
      transfer: '127.0.0.1:1',
      gateway: 'http://x',
    },
    directory,
    jobs,
    outbox,
    inventory: new Inventory(node.store),
    beat: () => beats.next(),
    onRegistered: () => {},
    log,
    signal: stop.signal,
    waitMs: 2_000,
  })
  try {
    await check({ plane, nodes, node, directory, provided })
  } finally {
    stop.abort()
    await running
  }
}

function directoryOf(nodes: Nodes, version: string): Directory {
  const known = [...nodes.directory.nodes].map(([name, { publicKey, host, port }]) => ({
    name,
    publicKey,
    labels: {},
    transfer: `${host}:${port}`,
    gateway: 'http://127.0.0.1:1',
    addresses: [],
    liveness: 'up' as const,
  }))
  return { version, nodes: known, controllers: ['A'.repeat(43)] }
}

function holdWork(
  lease: string,
  root: StoredRoot['cid'] | string,
  more: Partial<Extract<Work, { verb: 'hold' }>> = {},
): Work {
  return {
    verb: 'hold',
    contentId: `content of ${lease}`,
    lease,
    root: root.toString(),
    leaseMs: 30_000,
    sources: [],
    origins: [],
    maxBytes: 1_000 * MIB,
    ...more,
  }
}

test('a node registers by its key, beats, and keeps the directory on disk', async () => {
  await withAgent(async ({ plane, node, nodes, directory }) => {
    await until('a beat', () => plane.syncs.at(-1)?.directory === '1')
    assert.equal(plane.registrations[0]?.publicKey, node.identity.publicKey)
    assert.ok((plane.syncs[0]?.beat.freeBytes ?? 0) > 0)
    assert.equal(directory.roleOf(node.identity.publicKey), 'node')
    assert.equal(directory.roleOf('A'.repeat(43)), 'controller')
    const again = await DirectoryFile.open(join(nodes.folder, 'directory.json'))
    assert.deepEqual(again.current, plane.directory)
    assert.ok((await readFile(join(nodes.folder, 'directory.json'))).length > 0)
  })
})

test('a root is copied from its sources, told as stored, verified, and provided', async () => {
  let file: StoredRoot | undefined
  const prepare = async (nodes: Nodes): Promise<void> => {
    file = await storeFile((await nodes.add('source')).store, seededBytes(1, 8 * MIB))
  }
  await withAgent(
    async ({ plane, node, provided }) => {
      assert.ok(file)
      plane.give(holdWork('L1', file.cid, { sources: ['source'] }))
      const verified = await plane.outcome('L1', 'verified')
      const outcomes = plane.reports.filter(({ outcome }) => outcome !== 'progress').map(({ outcome }) => outcome)
      assert.deepEqual(outcomes, ['stored', 'verified'])
      assert.deepEqual({ ...verified, outcome: 0 }, { ...verified, outcome: 0, bytes: file.bytes, blocks: file.blocks })
      assert.ok(await isWhole(node.store, file.cid))
      await until('that it is provided', () => provided.includes(file?.cid.toString() ?? ''))
      assert.ok(plane.mostOpen <= 2, `${plane.mostOpen} calls at once`)
    },
    { prepare },
  )
})

test('many small roots are copied together', async () => {
  let roots: StoredRoot[] = []
  const prepare = async (nodes: Nodes): Promise<void> => {
    const { store } = await nodes.add('source')
    roots = await storeFiles(
      store,
      Array.from({ length: 300 }, (_, index) => seededBytes(index, 500)),
    )
  }
  await withAgent(
    async ({ plane, node }) => {
      plane.give(...roots.map(({ cid }, index) => holdWork(`L${index}`, cid, { sources: ['source'] })))
      for (const [index] of roots.entries()) await plane.outcome(`L${index}`, 'verified')
      for (const { cid } of roots) assert.ok(node.store.root(cid))
    },
    { prepare },
  )
})

test('without sources a root comes from the network', async () => {
  let file: StoredRoot | undefined
  const network = async (nodes: Nodes): Promise<BlockStore> => {
    const { store } = await nodes.add('elsewhere')
    file = await storeFile(store, seededBytes(3, 3 * MIB))
    return store
  }
  await withAgent(
    async ({ plane, node }) => {
      assert.ok(file)
      plane.give(holdWork('L1', file.cid))
      await plane.outcome('L1', 'verified')
      assert.ok(await isWhole(node.store, file.cid))
      plane.give(holdWork('L2', 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'))
      const failed = await plane.outcome('L2', 'failed')
      assert.deepEqual(failed, { ...failed, code: 'NOT_FOUND', permanent: false })
    },
    { network },
  )
})

test('content that is refused fails for good, a source that fails does not', async () => {
  let file: StoredRoot | undefined
  const prepare = async (nodes: Nodes): Promise<void> => {
    file = await storeFile((await nodes.add('source')).store, seededBytes(4, 4 * MIB))
  }
  await withAgent(
    async ({ plane }) => {
      assert.ok(file)
      plane.give(holdWork('L1', file.cid, { sources: ['source'], maxBytes: MIB }))
      const tooLarge = await plane.outcome('L1', 'failed')
      assert.deepEqual(tooLarge, { ...tooLarge, code: 'DAG_TOO_LARGE', permanent: true })
      plane.give(holdWork('L2', file.cid, { sources: ['gone'] }))
      const gone = await plane.outcome('L2', 'failed')
      assert.deepEqual(gone, { ...gone, code: 'NOT_FOUND', permanent: false })
      plane.give(holdWork('L3', 'nonsense', { sources: ['source'] }))
      const nonsense = await plane.outcome('L3', 'failed')
      assert.deepEqual(nonsense, { ...nonsense, code: 'INVALID_CID', permanent: true })
    },
    { prepare },
  )
})

test('a root that is there is only verified; blocks that the disk spoiled are fetched again', async () => {
  let file: StoredRoot | undefined
  const prepare = async (nodes: Nodes): Promise<void> => {
    file = await storeFile((await nodes.add('source')).store, seededBytes(5, 4 * MIB))
  }
  await withAgent(
    async ({ plane, node, nodes }) => {
      assert.ok(file)
      await storeFile(node.store, seededBytes(5, 4 * MIB))
      plane.give(holdWork('L1', file.cid, { sources: ['source'] }))
      await plane.outcome('L1', 'verified')

      await spoilOneByte(join(nodes.folder, 'node', 'segments'))
      plane.give(holdWork('L2', file.cid, { sources: ['source'] }))
      await plane.outcome('L2', 'verified')
      assert.ok(await isWhole(node.store, file.cid))
    },
    { prepare },
  )
})

test('a released root is gone, and releasing it again is harmless', async () => {
  await withAgent(async ({ plane, node }) => {
    const file = await storeFile(node.store, seededBytes(6, 1_000))
    for (const lease of ['L1', 'L2']) {
      plane.give({ verb: 'release', contentId: 'c', lease, root: file.cid.toString(), leaseMs: 30_000 })
      await plane.outcome(lease, 'released')
    }
    assert.equal(node.store.root(file.cid), undefined)
  })
})

test('the inventory is told from the start, in slices, in order', async () => {
  await withAgent(async ({ plane, node }) => {
    const contents = Array.from({ length: 1_203 }, (_, index) => seededBytes(index, 50))
    const held = (await storeFiles(node.store, contents)).map(({ cid }) => cid.toString())
    plane.inventoryWanted = true
    plane.takeBack('anything')
    const slices = (): SyncSlices => plane.syncs.flatMap(({ inventory }) => inventory ?? [])
    await until('the last slice', () => slices().at(-1)?.done)
    const told = slices().flatMap(({ roots }) => roots.map(({ root }) => root))
    assert.equal(slices().length, 2)
    assert.deepEqual(told.toSorted(), held.toSorted())
    assert.equal(slices()[1]?.after, slices()[0]?.roots.at(-1)?.root)
  })
})

type SyncSlices = NonNullable<TestControlPlane['syncs'][number]['inventory']>[]

test('work whose lease has ended is stopped and not told of', async () => {
  let file: StoredRoot | undefined
  const prepare = async (nodes: Nodes): Promise<void> => {
    const source = await nodes.add('source', {
      serves: (store) => lying(store, { sections: () => new ReadableStream() }),
    })
    file = await storeFile(source.store, seededBytes(7, 2 * MIB))
  }
  await withAgent(
    async ({ plane, node }) => {
      assert.ok(file)
      plane.give(holdWork('L1', file.cid, { sources: ['source'] }))
      await plane.outcome('L1', 'progress')
      plane.takeBack('L1')
      // The same content under another lease goes first to the old one's end, then its own way.
      plane.give({ ...holdWork('L2', file.cid, { sources: ['nobody'] }), contentId: 'content of L1' })
      await plane.outcome('L2', 'failed')
      assert.ok(!plane.reports.some(({ lease, outcome }) => lease === 'L1' && outcome !== 'progress'))
      assert.equal(node.store.root(file.cid), undefined)
    },
    { prepare, stallMs: 20_000 },
  )
})

test('a control plane that is away is waited for, and what happened meanwhile is told then', async () => {
  let file: StoredRoot | undefined
  const prepare = async (nodes: Nodes): Promise<void> => {
    file = await storeFile(
      (await nodes.add('source', { server: { bulkBytesPerSecond: 8 * MIB } })).store,
      seededBytes(8, 24 * MIB),
    )
  }
  await withAgent(
    async ({ plane, node }) => {
      assert.ok(file)
      plane.give(holdWork('L1', file.cid, { sources: ['source'] }))
      await plane.outcome('L1', 'progress')
      await plane.down()
      await until('the copy', () => node.store.root(file?.cid as StoredRoot['cid']))
      await plane.up()
      await plane.outcome('L1', 'verified')
    },
    { prepare },
  )
})

test('a session that the control plane does not know is replaced by a new one', async () => {
  await withAgent(async ({ plane, node }) => {
    await until('a first call', () => plane.syncs.length > 0)
    plane.forget()
    await until('another registration', () => plane.registrations.length >= 2)
    const file = await storeFile(node.store, seededBytes(9, 100))
    plane.give(holdWork('L1', file.cid))
    await plane.outcome('L1', 'verified')
  })
})

async function spoilOneByte(segments: string): Promise<void> {
  const [name] = await readdir(segments)
  await using file = await open(join(segments, name ?? ''), 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 1_000_000)
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 1_000_000)
}
