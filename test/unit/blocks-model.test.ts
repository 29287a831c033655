import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { BlockBatch, BlockStore } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { hasCode } from '../../services/core/errors.ts'
import { assertSame, entriesOf, temporaryFolder, testBlock, type TestBlock } from '../support/blocks.ts'

/** Few blocks, so that roots share them, of sizes that fill segments at different places. */
const BLOCKS: readonly TestBlock[] = Array.from({ length: 24 }, (_, seed) => testBlock(seed, 100 + seed * 150))
const SEGMENT_BYTES = 6_000

const blockAt = (seed: number): TestBlock => BLOCKS[seed % BLOCKS.length] as TestBlock

interface Real {
  folder: string
  store: BlockStore
  batch: BlockBatch
}

/** What the store must know: blocks that are durable, those of the open batch that need not be yet, and roots. */
interface Model {
  durable: Set<number>
  unflushed: Set<number>
  /** What the open batch has put or asked for, and so protects. */
  inFlight: Set<number>
  roots: Map<number, Set<number>>
}

type Command = fc.AsyncCommand<Model, Real>

const countedIn = (model: Model): Set<number> => new Set([...model.roots.values()].flatMap((blocks) => [...blocks]))

async function compare(model: Model, { store }: Real): Promise<void> {
  for (const [seed, { cid, bytes }] of BLOCKS.entries()) {
    const read = await store.get(cid)
    if (model.durable.has(seed)) assertSame(read, bytes)
    assert.equal(store.has(cid), read !== undefined)
    if (read !== undefined && !model.durable.has(seed)) assert.ok(model.unflushed.has(seed), `block ${seed} is back`)
  }
  assert.equal([...store.roots()].length, model.roots.size)
  for (const [root, blocks] of model.roots) {
    const check = await store.verifyRoot(blockAt(root).cid)
    assert.equal(check?.blocks, blocks.size)
    assert.deepEqual(check?.bad, [])
  }
}

class Put implements Command {
  readonly seed: number
  constructor(seed: number) {
    this.seed = seed
  }
  check = () => true
  async run(model: Model, { batch }: Real) {
    const { cid, bytes } = blockAt(this.seed)
    await batch.put(cid, bytes)
    assert.equal(batch.has(cid), true)
    model.inFlight.add(this.seed)
    if (!model.durable.has(this.seed)) model.unflushed.add(this.seed)
  }
  toString = () => `put ${this.seed}`
}

class Ask implements Command {
  readonly seed: number
  constructor(seed: number) {
    this.seed = seed
  }
  check = () => true
  async run(model: Model, { batch }: Real) {
    const had = batch.has(blockAt(this.seed).cid)
    assert.equal(had, model.durable.has(this.seed) || model.unflushed.has(this.seed))
    if (had) model.inFlight.add(this.seed)
  }
  toString = () => `ask ${this.seed}`
}

function flushed(model: Model): void {
  for (const seed of model.unflushed) model.durable.add(seed)
  model.unflushed.clear()
}

class Flush implements Command {
  check = () => true
  async run(model: Model, real: Real) {
    await real.batch.flush()
    flushed(model)
    await compare(model, real)
  }
  toString = () => 'flush'
}

class Commit implements Command {
  readonly seeds: number[]
  constructor(seeds: number[]) {
    this.seeds = seeds
  }
  check = () => true
  async run(model: Model, real: Real) {
    const root = this.seeds[0] as number
    const entries = entriesOf(this.seeds.map(blockAt))
    const held = model.roots.get(root)
    const known = new Set([...model.durable, ...model.unflushed])
    if (held === undefined && this.seeds.some((seed) => !known.has(seed))) {
      const missing = (error: unknown): boolean => hasCode(error, 'BLOCK_MISSING')
      await assert.rejects(real.batch.commitRoot(blockAt(root).cid, entries), missing)
    } else {
      const stored = await real.batch.commitRoot(blockAt(root).cid, entries)
      if (held === undefined) model.roots.set(root, new Set(this.seeds))
      assert.equal(stored.blocks, model.roots.get(root)?.size)
    }
    flushed(model)
    await compare(model, real)
  }
  toString = () => `commit ${this.seeds.join(',')}`
}

class Release implements Command {
  readonly root: number
  constructor(root: number) {
    this.root = root
  }
  check = () => true
  async run(model: Model, real: Real) {
    assert.equal(await real.store.releaseRoot(blockAt(this.root).cid), model.roots.delete(this.root))
    await compare(model, real)
  }
  toString = () => `release ${this.root}`
}

class NewBatch implements Command {
  check = () => true
  async run(model: Model, real: Real) {
    await real.batch[Symbol.asyncDispose]()
    flushed(model)
    model.inFlight.clear()
    // The store's clock has milliseconds: what was done before is to be older than the next batch.
    const since = performance.now()
    while (performance.now() < since + 2) await new Promise((resolve) => setImmediate(resolve))
    real.batch = real.store.openBatch()
  }
  toString = () => 'new batch'
}

class Collect implements Command {
  check = () => true
  async run(model: Model, real: Real) {
    await real.store.collect({ graceMs: 0 })
    const counted = countedIn(model)
    for (const seed of model.durable) {
      if (counted.has(seed) || model.inFlight.has(seed)) continue
      // A release since the batch was opened also keeps a block.
      if (!real.store.has(blockAt(seed).cid)) model.durable.delete(seed)
    }
    await compare(model, real)
  }
  toString = () => 'collect'
}

class CollectAll implements Command {
  check = () => true
  async run(model: Model, real: Real) {
    await new NewBatch().run(model, real)
    await real.store.collect({ graceMs: 0 })
    model.durable = countedIn(model)
    await compare(model, real)
    const bytes = [...model.durable].reduce((sum, seed) => sum + blockAt(seed).bytes.length, 0)
    const { blocks, storedBytes } = real.store.space()
    assert.equal(blocks, model.durable.size)
    assert.ok(storedBytes >= bytes && storedBytes <= bytes + 40 * blocks, `${storedBytes} of ${bytes}`)
  }
  toString = () => 'collect all'
}

class Reopen implements Command {
  check = () => true
  async run(model: Model, real: Real) {
    await real.batch[Symbol.asyncDispose]()
    await real.store[Symbol.asyncDispose]()
    flushed(model)
    model.inFlight.clear()
    real.store = await openBlockStore(real.folder, { segmentBytes: SEGMENT_BYTES })
    real.batch = real.store.openBatch()
    await compare(model, real)
  }
  toString = () => 'reopen'
}

test('the store agrees with its model under any course of puts, commits, releases, collections and restarts', async () => {
  const seed = fc.nat(BLOCKS.length - 1)
  const commands = fc.commands(
    [
      seed.map((value) => new Put(value)),
      seed.map((value) => new Put(value)),
      seed.map((value) => new Ask(value)),
      fc.constant(new Flush()),
      fc.array(seed, { minLength: 1, maxLength: 8 }).map((values) => new Commit(values)),
      seed.map((value) => new Release(value)),
      fc.constant(new NewBatch()),
      fc.constant(new Collect()),
      fc.constant(new CollectAll()),
      fc.constant(new Reopen()),
    ],
    { maxCommands: 60 },
  )
  await fc.assert(
    fc.asyncProperty(commands, async (course) => {
      await using folder = await temporaryFolder()
      const store = await openBlockStore(folder.path, { segmentBytes: SEGMENT_BYTES })
      const real: Real = { folder: folder.path, store, batch: store.openBatch() }
      const model: Model = { durable: new Set(), unflushed: new Set(), inFlight: new Set(), roots: new Map() }
      try {
        await fc.asyncModelRun(() => ({ model, real }), course)
      } finally {
        await real.batch[Symbol.asyncDispose]()
        await real.store[Symbol.asyncDispose]()
      }
    }),
    { numRuns: 60 },
  )
})
