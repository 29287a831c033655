import { hash } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { open as openDatabase } from 'lmdb'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { MIB } from '../../services/core/units.ts'
import { blockOf, entriesOf, putAll, temporaryFolder, testBlock, type TestBlock } from '../support/blocks.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { median, type Row } from './rows.ts'

/**
 * The block store against what the machine can do at best in the same run: hashing the same bytes and writing them one
 * after another with a sync at the end. Rounds of both are interleaved and the median counts, as the machine is shared.
 */

const ROUNDS = 5
const LARGE = { count: 192, length: MIB }
const SMALL = { count: 20_000, length: 4_096, inFlight: 64 }
const ROOT_BLOCKS = 100_000

export async function benchBlocks(): Promise<Row[]> {
  return [...(await large()), ...(await small()), ...(await roots())]
}

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1_000
}

function bodies(count: number, length: number, seed: number): Uint8Array[] {
  const all = seededBytes(seed, count * length)
  return Array.from({ length: count }, (_, i) => all.subarray(i * length, (i + 1) * length))
}

/** Hashes the bodies and writes them to one file, synced once. */
async function limit(path: string, parts: readonly Uint8Array[]): Promise<void> {
  await using file = await open(path, 'w')
  for (const part of parts) {
    hash('sha256', part, 'buffer')
    await file.write(part)
  }
  await file.datasync()
}

async function large(): Promise<Row[]> {
  const times = { limit: [] as number[], put: [] as number[], get: [] as number[], sections: [] as number[] }
  for (let round = 0; round < ROUNDS; round += 1) {
    await using folder = await temporaryFolder()
    const parts = bodies(LARGE.count, LARGE.length, round)
    times.limit.push(await seconds(() => limit(join(folder.path, 'limit'), parts)))
    await rm(join(folder.path, 'limit'))
    await using store = await openBlockStore(join(folder.path, 'store'))
    const blocks: TestBlock[] = []
    const put = async (): Promise<void> => {
      await using batch = store.openBatch()
      for (const part of parts) {
        const block = blockOf(part)
        blocks.push(block)
        await batch.put(block.cid, block.bytes)
      }
      await batch.flush()
    }
    times.put.push(await seconds(put))
    times.get.push(await seconds(() => getAll(store, blocks, 4)))
    times.sections.push(await seconds(() => drain(store.sections(blocks.map(({ cid }) => cid)))))
  }
  const megabytes = (LARGE.count * LARGE.length) / 1e6
  const best = megabytes / median(times.limit)
  const against = `${best.toFixed(0)} MB/s sha256 and synced write`
  const row = (what: string, values: number[], target: number): Row => {
    const rate = megabytes / median(values)
    const ratio = rate / best
    return { what, measured: `${rate.toFixed(0)} MB/s`, against, ratio, target: `>= ${target}`, isMet: ratio >= target }
  }
  return [
    row('put, 1 MiB blocks, hashed and durable', times.put, 0.7),
    row('get, 1 MiB blocks, 4 at once, hashed', times.get, 0.7),
    row('CAR sections, 1 MiB blocks, hashed', times.sections, 0.7),
  ]
}

async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) if (chunk.length === 0) throw new Error('an empty chunk')
}

async function getAll(store: Pick<BlockStore, 'get'>, blocks: readonly TestBlock[], atOnce: number): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    for (let block = blocks[next++]; block !== undefined; block = blocks[next++]) await store.get(block.cid)
  }
  await Promise.all(Array.from({ length: atOnce }, one))
}

async function small(): Promise<Row[]> {
  await using folder = await temporaryFolder()
  await using store = await openBlockStore(join(folder.path, 'store'))
  await using reader = await openBlockReader(join(folder.path, 'store'))
  const times = { putLimit: [] as number[], put: [] as number[], getLimit: [] as number[] }
  const reads = { get: [] as number[], reader: [] as number[], has: [] as number[] }
  for (let round = 0; round < 3; round += 1) {
    const parts = bodies(SMALL.count, SMALL.length, 100 + round)
    const path = join(folder.path, `limit-${round}`)
    times.putLimit.push(await seconds(() => groupLimit(path, parts)))
    const blocks: TestBlock[] = []
    times.put.push(await seconds(() => putEach(store, parts, blocks)))
    times.getLimit.push(await seconds(() => readLimit(path)))
    reads.get.push(await seconds(() => getAll(store, blocks, SMALL.inFlight)))
    reads.reader.push(await seconds(() => getAll(reader, blocks, SMALL.inFlight)))
    const has = (): Promise<void> => Promise.resolve(blocks.forEach(({ cid }) => store.has(cid)))
    reads.has.push(await seconds(has))
  }
  const row = (what: string, values: number[], against: { what: string; values: number[] }, target: number): Row => {
    const rate = SMALL.count / median(values)
    const best = SMALL.count / median(against.values)
    const ratio = rate / best
    return {
      what,
      measured: perSecond(rate),
      against: `${perSecond(best)} ${against.what}`,
      ratio,
      target: `>= ${target}`,
      isMet: ratio >= target,
    }
  }
  const putLimit = { what: 'hashed, synced in groups of 64', values: times.putLimit }
  const getLimit = { what: 'read and hashed, 64 at once', values: times.getLimit }
  return [
    row('put, 4 KiB blocks, each hashed and durable, 64 at once', times.put, putLimit, 0.25),
    row('get, 4 KiB blocks, 64 at once, hashed', reads.get, getLimit, 0.5),
    row('get by a reader, 4 KiB blocks, 64 at once, hashed', reads.reader, getLimit, 0.5),
    row('has', reads.has, getLimit, 5),
  ]
}

const perSecond = (rate: number): string => `${Math.round(rate).toLocaleString('en')} /s`

/** Hashes the bodies and appends them in groups as large as the store's can be, each synced. */
async function groupLimit(path: string, parts: readonly Uint8Array[]): Promise<void> {
  await using file = await open(path, 'w')
  for (let at = 0; at < parts.length; at += SMALL.inFlight) {
    const group = parts.slice(at, at + SMALL.inFlight)
    for (const part of group) hash('sha256', part, 'buffer')
    await file.write(Buffer.concat(group))
    await file.datasync()
  }
}

/** Reads the bodies again from one file and hashes them. */
async function readLimit(path: string): Promise<void> {
  await using file = await open(path, 'r')
  let next = 0
  const one = async (): Promise<void> => {
    for (let i = next++; i < SMALL.count; i = next++) {
      const { buffer } = await file.read(Buffer.allocUnsafeSlow(SMALL.length), 0, SMALL.length, i * SMALL.length)
      hash('sha256', buffer, 'buffer')
    }
  }
  await Promise.all(Array.from({ length: SMALL.inFlight }, one))
}

/** Every block is acknowledged by itself, as small uploads are. */
async function putEach(store: BlockStore, parts: readonly Uint8Array[], blocks: TestBlock[]): Promise<void> {
  await using batch = store.openBatch()
  let next = 0
  const one = async (): Promise<void> => {
    for (let part = parts[next++]; part !== undefined; part = parts[next++]) {
      const block = blockOf(part)
      blocks.push(block)
      await batch.put(block.cid, block.bytes)
      await batch.flush()
    }
  }
  await Promise.all(Array.from({ length: SMALL.inFlight }, one))
}

async function roots(): Promise<Row[]> {
  const blocks = Array.from({ length: ROOT_BLOCKS }, (_, seed) => testBlock(seed, 64))
  const times = { limit: [] as number[], commit: [] as number[], open: [] as number[] }
  const more = { release: [] as number[], collect: [] as number[], stallMs: [] as number[] }
  for (let round = 0; round < 3; round += 1) {
    await using folder = await temporaryFolder()
    times.limit.push(await indexLimit(join(folder.path, 'limit'), blocks))
    const path = join(folder.path, 'store')
    const root = blocks[0] as TestBlock
    const delay = monitorEventLoopDelay({ resolution: 1 })
    {
      await using store = await openBlockStore(path)
      await using batch = store.openBatch()
      await putAll(batch, blocks)
      await batch.flush()
      delay.enable()
      times.commit.push(await seconds(() => batch.commitRoot(root.cid, entriesOf(blocks))))
      delay.disable()
    }
    const reopen = async (): Promise<void> => {
      await using store = await openBlockStore(path)
      if (store.root(root.cid)?.blocks !== ROOT_BLOCKS) throw new Error('the root is not whole')
    }
    times.open.push(await seconds(reopen))
    await using store = await openBlockStore(path)
    delay.enable()
    more.release.push(await seconds(() => store.releaseRoot(root.cid)))
    more.collect.push(await seconds(() => store.collect({ graceMs: 0 })))
    delay.disable()
    more.stallMs.push(delay.percentile(99.9) / 1e6)
  }
  const best = ROOT_BLOCKS / median(times.limit)
  const row = (what: string, values: number[], target: number): Row => {
    const rate = ROOT_BLOCKS / median(values)
    const against = `${perSecond(best)} rows of LMDB read and rewritten`
    const ratio = rate / best
    return { what, measured: perSecond(rate), against, ratio, target: `>= ${target}`, isMet: ratio >= target }
  }
  const below = (what: string, ms: number, target: number): Row => {
    const measured = `${ms.toFixed(0)} ms`
    return { what, measured, against: '', ratio: undefined, target: `< ${target} ms`, isMet: ms < target }
  }
  return [
    row('commit of a root of 100,000 blocks', times.commit, 0.5),
    row('release of it', more.release, 0.5),
    row('collection of it', more.collect, 0.5),
    below('stall of the event loop meanwhile, 99.9 %', median(more.stallMs), 50),
    below('open and close a store of 100,000 blocks', median(times.open) * 1_000, 5_000),
  ]
}

/** Seconds in which LMDB alone reads and rewrites as many rows as the root has blocks, in transactions as large. */
async function indexLimit(path: string, blocks: readonly TestBlock[]): Promise<number> {
  const database = openDatabase<Buffer, Buffer>({
    path,
    keyEncoding: 'binary',
    encoding: 'binary',
    noSubdir: false,
    overlappingSync: false,
    eventTurnBatching: false,
  })
  const value = Buffer.alloc(29)
  const pass = async (): Promise<void> => {
    for (let at = 0; at < blocks.length; at += 1_024) {
      const slice = blocks.slice(at, at + 1_024)
      await database.transaction(() => {
        for (const { cid } of slice) {
          const key = cid.multihash.bytes as Buffer
          database.getBinaryFast(key)
          void database.put(key, value)
        }
      })
    }
  }
  await pass()
  const time = await seconds(pass)
  await database.close()
  return time
}
