import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBlockStore } from '../../services/blocks/store.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { chunked, pseudoRandomBytes } from '../support/dag.ts'
import { median, type Row } from './rows.ts'

/**
 * CPU time that the gateway takes for a request of 1 KiB and for a file of 10 MiB, beside a plain node:http file server
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
  paths: { small: string; large: string }
}

interface Load {
  name: string
  unit: string
  path: 'small' | 'large'
  requests: number
  sizeBytes: number
  /** CPU in units of the plain server. */
  target: number
}

const LOADS: readonly Load[] = [
  { name: '1 KiB file', unit: 'CPU us/request', path: 'small', requests: 2_000, sizeBytes: KIB, target: 1.5 },
  { name: '10 MiB file', unit: 'CPU us/MiB', path: 'large', requests: 24, sizeBytes: 10 * MIB, target: 1.3 },
]

export async function benchGateway(): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    const subjects = await start(folder, await prepare(folder))
    const rows: Row[] = []
    for (const load of LOADS) rows.push(...(await compare(load, subjects)))
    for (const { server } of subjects) server.disconnect()
    return rows
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function prepare(folder: string): Promise<{ small: string; large: string }> {
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
  return { small, large }
}

function start(folder: string, content: Subject['paths']): Promise<Subject[]> {
  const files = { small: '/small', large: '/large' }
  return Promise.all([
    startServer('node:http, plain files', ['static', join(folder, 'files')], files),
    startServer('gateway, blocks from disk', ['gateway', join(folder, 'store'), '0'], content),
    startServer('gateway, blocks in memory', ['gateway', join(folder, 'store'), String(64 * MIB)], content),
  ])
}

async function startServer(name: string, args: string[], paths: Subject['paths']): Promise<Subject> {
  const server = fork(new URL('gateway-servers.ts', import.meta.url), args)
  const [url] = (await once(server, 'message')) as [string]
  return { name, server, url, paths }
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
    while (left-- > 0) await download(subject.url + subject.paths[load.path], agent, load.sizeBytes)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  agent.destroy()
}

function download(url: string, agent: Agent, sizeBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      let received = 0
      response.on('data', (piece: Buffer) => (received += piece.length))
      response.once('end', () => {
        if (response.statusCode === 200 && received === sizeBytes) resolve()
        else reject(new Error(`${url} answered ${response.statusCode} with ${received} bytes`))
      })
      response.once('error', reject)
    })
    request.once('error', reject)
  })
}
