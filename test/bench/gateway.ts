import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { chunked, pseudoRandomBytes } from '../support/dag.ts'
import { median, type Row } from './rows.ts'

/**
 * CPU time that the gateway takes for requests without a body, of 1 KiB and of 10 MiB, beside a plain node:http file server
 * in the same run: each in a process of its own, all up at once, rounds interleaved, the median counts.
 */

const KIB = 1_024
const MIB = 1_048_576
const ROUNDS = 5
const CONNECTIONS = 8

interface Subject {
  name: string
  server: ChildProcess
  url: string
  paths: Paths
  /** Of the small file. */
  tag: string
}

interface Paths {
  small: string
  large: string
}

interface Load {
  name: string
  unit: string
  path: keyof Paths
  method: 'GET' | 'HEAD'
  /** Whether the client has the file already and says so. */
  isKnown: boolean
  requests: number
  /** Of the body that is expected. */
  sizeBytes: number
  /** CPU in units of the plain server. */
  target: number
}

const SMALL = { unit: 'CPU us/request', path: 'small', method: 'GET', isKnown: false, requests: 2_000 } as const

const LOADS: readonly Load[] = [
  { ...SMALL, name: '1 KiB file', sizeBytes: KIB, target: 1.5 },
  { ...SMALL, name: 'HEAD', method: 'HEAD', sizeBytes: 0, target: 1.2 },
  { ...SMALL, name: '304', isKnown: true, sizeBytes: 0, target: 1.2 },
  { ...SMALL, name: '10 MiB file', unit: 'CPU us/MiB', path: 'large', requests: 24, sizeBytes: 10 * MIB, target: 1.3 },
]

const LISTED_ENTRIES = 10_000
const LISTING_TARGET_MS = 150

export async function benchGateway(): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    const content = await prepare(folder)
    const subjects = await start(folder, content)
    const rows: Row[] = []
    for (const load of LOADS) rows.push(...(await compare(load, subjects)))
    rows.push(await listing(subjects, content.directory))
    for (const { server } of subjects) server.disconnect()
    return rows
  } finally {
    await rm(folder, { recursive: true })
  }
}

interface Content extends Paths {
  /** A directory of many entries. */
  directory: string
  tag: string
}

async function prepare(folder: string): Promise<Content> {
  await mkdir(join(folder, 'files'))
  await using store = await openBlockStore(join(folder, 'store'))
  const roots: string[] = []
  for (const [name, sizeBytes] of [
    ['small', KIB],
    ['large', 10 * MIB],
  ] as const) {
    const bytes = pseudoRandomBytes(sizeBytes, sizeBytes)
    await writeFile(join(folder, 'files', name), bytes)
    await using batch = store.openBatch()
    const { root, manifest } = await addFile(chunked(bytes), batch)
    await batch.commitRoot(root, manifest)
    roots.push(root.toString())
  }
  const [small, large] = roots.map((root) => `/ipfs/${root}?filename=a.bin`) as [string, string]
  return { small, large, directory: await addLargeDirectory(store), tag: `"${roots[0]}"` }
}

/** Large enough to be a HAMT. */
async function addLargeDirectory(store: BlockStore): Promise<string> {
  await using batch = store.openBatch()
  const items = Array.from({ length: LISTED_ENTRIES }, (_, index) => ({
    path: `entry-${index}.json`,
    content: chunked(Buffer.from(`{"entry":${index}}`)),
  }))
  const { root, manifest } = await addDirectory(items, batch)
  await batch.commitRoot(root, manifest)
  return `/ipfs/${root.toString()}/`
}

function start(folder: string, content: Content): Promise<Subject[]> {
  const files = { small: '/small', large: '/large', tag: `"${KIB}"` }
  return Promise.all([
    startServer('node:http, plain files', ['static', join(folder, 'files')], files),
    startServer('gateway, blocks from disk', ['gateway', join(folder, 'store'), '0'], content),
    startServer('gateway, blocks in memory', ['gateway', join(folder, 'store'), String(64 * MIB)], content),
  ])
}

async function startServer(name: string, args: string[], paths: Paths & { tag: string }): Promise<Subject> {
  const server = fork(new URL('gateway-servers.ts', import.meta.url), args)
  const [url] = (await once(server, 'message')) as [string]
  return { name, server, url, paths, tag: paths.tag }
}

async function compare(load: Load, subjects: readonly Subject[]): Promise<Row[]> {
  const costs = new Map(subjects.map(({ name }) => [name, [] as number[]]))
  for (const subject of subjects) await run(subject, load)
  for (let round = 0; round < ROUNDS; round++) {
    for (const subject of subjects) {
      const before = await cpuMicroseconds(subject)
      await run(subject, load)
      costs.get(subject.name)?.push((await cpuMicroseconds(subject)) - before)
    }
  }
  const units = load.path === 'small' ? load.requests : (load.requests * load.sizeBytes) / MIB
  const medians = subjects.map(({ name }) => ({ name, cost: median(costs.get(name) ?? []) / units }))
  const [limit, ...gateways] = medians
  return gateways.map(({ name, cost }) => {
    const ratio = cost / (limit?.cost ?? Number.NaN)
    return {
      what: `${load.name}: ${name}`,
      measured: `${cost.toFixed(0)} ${load.unit}`,
      against: `${limit?.name}: ${limit?.cost.toFixed(0)} ${load.unit}`,
      ratio,
      target: `<= ${load.target}`,
      isMet: ratio <= load.target,
    }
  })
}

async function cpuMicroseconds({ server }: Subject): Promise<number> {
  server.send('cpu')
  const [used] = (await once(server, 'message')) as [number]
  return used
}

async function run(subject: Subject, load: Load): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  let left = load.requests
  const client = async (): Promise<void> => {
    while (left-- > 0) await exchange(subject, load, agent)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  agent.destroy()
}

function exchange({ url, paths, tag }: Subject, load: Load, agent: Agent): Promise<void> {
  const headers = load.isKnown ? { 'if-none-match': tag } : {}
  const expected = load.isKnown ? 304 : 200
  return new Promise((resolve, reject) => {
    const call = request(url + paths[load.path], { agent, method: load.method, headers }, (response) => {
      let received = 0
      response.on('data', (piece: Buffer) => (received += piece.length))
      response.once('end', () => {
        if (response.statusCode === expected && received === load.sizeBytes) resolve()
        else reject(new Error(`${load.name} at ${url}: ${response.statusCode} with ${received} bytes`))
      })
      response.once('error', reject)
    })
    call.once('error', reject)
    call.end()
  })
}

/** How long a reader waits for the page of a large directory whose blocks are on disk. */
async function listing(subjects: readonly Subject[], directory: string): Promise<Row> {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now()
    const response = await fetch(`${subjects[1]?.url}${directory}`)
    const entries = (await response.text()).split('class="ipfs-hash"').length - 1
    times.push(performance.now() - startedAt)
    if (entries !== LISTED_ENTRIES) throw new Error(`the listing has ${entries} entries`)
  }
  const ms = median(times)
  return {
    what: `listing of ${LISTED_ENTRIES} entries`,
    measured: `${ms.toFixed(0)} ms`,
    against: '',
    ratio: undefined,
    target: `< ${LISTING_TARGET_MS} ms`,
    isMet: ms < LISTING_TARGET_MS,
  }
}
