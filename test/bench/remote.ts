import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import type { BlockReader, BlockStore } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { KIB, MIB, SECOND_MS } from '../../services/core/units.ts'
import { findHolders } from '../../services/gateway/holders.ts'
import { temporaryFolder } from '../support/blocks.ts'
import { openGateway } from '../support/gateway.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { lying, Nodes, storeFile } from '../transfer/nodes.ts'
import { median, percentile, type Row } from './rows.ts'

/**
 * Reads of what other nodes hold, at the gateway of one that holds nothing: from holders with thin lines, from one that is
 * far; and what a reader waits for once the gateway has it in memory.
 */

const ROUNDS = 3
const FILE = seededBytes(31, 64 * MIB)
/** A line so thin that three of them are no work for this machine. */
const LINE_BYTES_PER_SECOND = 16 * MIB
const FAR_MS = 50
const CONNECTIONS = 64
const REQUESTS_PER_SECOND = 1_000
const REQUESTS = 6_400

export async function benchRemote(): Promise<Row[]> {
  return [...(await remoteReads()), await cachedReads()]
}

async function remoteReads(): Promise<Row[]> {
  await using nodes = await Nodes.open()
  const reader = await nodes.add('reader')
  const names = ['one', 'two', 'three']
  let root = ''
  for (const name of names) {
    const { store } = await nodes.add(name, { serves: (held) => lying(held, thinLine(held)) })
    root = (await storeFile(store, FILE)).cid.toString()
  }
  const far = await nodes.add('far', { serves: (held) => lying(held, farAway(held)) })
  await storeFile(far.store, FILE)
  const seconds = async (holders: readonly string[]): Promise<number> => {
    const log = pino({ level: 'silent' })
    await using gateway = await openGateway(reader.store, {
      holders: findHolders({ client: reader.client, nodes: () => holders, log }),
      settings: { cacheBytes: 0 },
    })
    const begun = performance.now()
    const response = await fetch(`${gateway.url}/ipfs/${root}?filename=a.bin`)
    const body = await response.bytes()
    const took = (performance.now() - begun) / SECOND_MS
    if (Buffer.compare(FILE, body) !== 0) throw new Error('The file did not come as it was stored.')
    return took
  }
  const times = { one: [] as number[], three: [] as number[], far: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    times.one.push(await seconds(['one']))
    times.three.push(await seconds(names))
    times.far.push(await seconds(['far']))
  }
  const rate = (took: readonly number[]): number => FILE.length / MIB / median(took)
  const ratio = rate(times.three) / rate(times.one)
  const line = `${LINE_BYTES_PER_SECOND / MIB} MiB/s each`
  return [
    {
      what: `64 MiB from three holders of ${line}`,
      measured: `${rate(times.three).toFixed(1)} MiB/s`,
      against: `${rate(times.one).toFixed(1)} MiB/s from one`,
      ratio,
      target: '>= 2.5',
      isMet: ratio >= 2.5,
    },
    {
      what: `64 MiB from a holder ${FAR_MS} ms away`,
      measured: `${rate(times.far).toFixed(1)} MiB/s`,
      against: '',
      ratio: undefined,
      target: '>= 50 MiB/s',
      isMet: rate(times.far) >= 50,
    },
  ]
}

/** Sends no faster than the line, all readers together. */
function thinLine(store: BlockStore): Partial<BlockReader> {
  let freeAt = 0
  const pass = async (bytes: number): Promise<void> => {
    freeAt = Math.max(performance.now(), freeAt) + (bytes / LINE_BYTES_PER_SECOND) * SECOND_MS
    await delay(Math.max(0, freeAt - performance.now()))
  }
  return {
    async get(cid, options) {
      const bytes = await store.get(cid, options)
      await pass(bytes?.length ?? 0)
      return bytes
    },
    async *sections(cids, options) {
      for await (const chunk of store.sections(cids, options)) {
        await pass(chunk.length)
        yield chunk
      }
    },
  }
}

/** Answers a round trip later. */
function farAway(store: BlockStore): Partial<BlockReader> {
  return {
    async get(cid, options) {
      await delay(FAR_MS)
      return await store.get(cid, options)
    },
    async *sections(cids, options) {
      await delay(FAR_MS)
      yield* store.sections(cids, options)
    },
  }
}

async function cachedReads(): Promise<Row> {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'store')
  await using store = await openBlockStore(path)
  const roots = await Promise.all(
    Array.from({ length: 100 }, (_, index) => storeFile(store, seededBytes(index, 4 * KIB))),
  )
  const server = fork(new URL('gateway-servers.ts', import.meta.url), ['gateway', path, String(64 * MIB)])
  try {
    const [url] = (await once(server, 'message')) as [string]
    const paths = roots.map(({ cid }) => `${url}/ipfs/${cid.toString()}?filename=a.bin`)
    await latencies(paths, REQUESTS / 8)
    const p99 = percentile(await latencies(paths, REQUESTS), 0.99)
    return {
      what: `cached answer of 4 KiB, ${CONNECTIONS} connections, ${REQUESTS_PER_SECOND} requests/s, p99`,
      measured: `${p99.toFixed(1)} ms`,
      against: '',
      ratio: undefined,
      target: '< 10 ms',
      isMet: p99 < 10,
    }
  } finally {
    server.disconnect()
    await once(server, 'exit')
  }
}

/** Each connection asks by the clock, and a late answer makes those behind it late too: nothing is left out. */
async function latencies(urls: readonly string[], requests: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const times: number[] = []
  const begun = performance.now()
  const client = async (_: unknown, connection: number): Promise<void> => {
    for (let index = connection; index < requests; index += CONNECTIONS) {
      const dueAt = begun + (index / REQUESTS_PER_SECOND) * SECOND_MS
      await delay(Math.max(0, dueAt - performance.now()))
      await read(urls[index % urls.length] ?? '', agent)
      times.push(performance.now() - dueAt)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  agent.destroy()
  return times
}

function read(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = get(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`))
      response.resume().once('end', resolve).once('error', reject)
    })
    call.once('error', reject)
  })
}
