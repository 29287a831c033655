import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { Cluster } from '../support/cluster.ts'
import { recordFixtures } from '../support/gateway-fixtures.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'

/** One node whose gateway runs in processes of its own. The tests of names and of access run on such nodes, too. */

const WORKERS = 3
const NAME = '12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d'

let cluster: Cluster
let metricsUrl: string
before(async () => {
  const port = await freePort()
  // The control plane has the first port, the node the next.
  metricsUrl = `http://127.0.0.1:${port + 1}/metrics`
  cluster = await Cluster.start({
    HOLDFAST_NODES: '1',
    HOLDFAST_GATEWAY_WORKERS: String(WORKERS),
    HOLDFAST_METRICS_PORT: String(port),
  })
})
after(() => cluster[Symbol.asyncDispose]())

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Pids of the node's gateway processes. */
async function workers(): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  return pids.filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      const parent = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      return words.includes('gateway') && Number(parent) === cluster.node(0).pid
    } catch {
      return false
    }
  })
}

/** An answer over a connection of its own, so that the system chooses a process for it. */
async function read(path: string): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  get(`${cluster.node(0).gateway}${path}`, { agent: new Agent({ keepAlive: false }) }, (response) => {
    const pieces: Buffer[] = []
    response.on('data', (piece: Buffer) => pieces.push(piece))
    response.once('error', reject)
    response.once('end', () => {
      if (response.statusCode === 200) resolve(Buffer.concat(pieces))
      else reject(new Error(`${path} is answered ${response.statusCode}`))
    })
  }).once('error', reject)
  return await promise
}

/** Of many connections each process gets some: so many that none is left out but by a miracle. */
async function readByAll(path: string): Promise<Buffer[]> {
  return await Promise.all(Array.from({ length: 20 * WORKERS }, () => read(path)))
}

async function counted(metric: string): Promise<number> {
  const text = await (await fetch(metricsUrl)).text()
  const values = [...text.matchAll(new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\d+)`, 'gm'))]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

test('all processes serve what is uploaded, and their metrics are summed', async () => {
  const bytes = seededBytes(1, 3_000_000)
  const { cid } = await cluster.upload(bytes)
  const before = await counted('ipfs_http_gw_responses_total')
  for (const body of await readByAll(`/ipfs/${cid}`)) assert.ok(body.equals(bytes))
  assert.equal((await counted('ipfs_http_gw_responses_total')) - before, 20 * WORKERS)
  assert.equal((await workers()).length, WORKERS)
  assert.ok((await counted('process_resident_memory_bytes')) > 0)
})

test('a record that one process takes is served by all', async () => {
  const record = (await recordFixtures()).find(({ name }) => name === NAME)
  assert.ok(record)
  const url = `${cluster.node(0).gateway}/routing/v1/ipns/${NAME}`
  const { status } = await fetch(url, { method: 'PUT', body: new Uint8Array(record.bytes) })
  assert.equal(status, 200)
  for (const body of await readByAll(`/routing/v1/ipns/${NAME}`)) assert.deepEqual(body, Buffer.from(record.bytes))
  const broken = await fetch(url, { method: 'PUT', body: new Uint8Array(10) })
  assert.equal(broken.status, 400)
})

test('a process that is killed is missed by nobody for long, and comes back', async () => {
  const { cid } = await cluster.upload('read on')
  const [first] = await workers()
  assert.ok(first)
  process.kill(first, 'SIGKILL')
  await until('as many processes as before', async () => {
    const now = await workers()
    return now.length === WORKERS && !now.includes(first)
  })
  await until('answers by all of them', async () =>
    (await readByAll(`/ipfs/${cid}`)).every((body) => body.length === 7),
  )
})

interface Details {
  pin: { requestid: string }
  cid: string
}

async function statesOf(requestid: string): Promise<string[]> {
  const { replicas } = await cluster.json<{ replicas: { state: string }[] }>(`/v1/pins/${requestid}`)
  return replicas.map(({ state }) => state)
}

test('a damaged block that a process comes upon is quarantined by the node', async () => {
  const bytes = seededBytes(2, 50_000)
  const { cid, pin }: Details = await cluster.upload(bytes)
  await until('a verified copy', async () => (await statesOf(pin.requestid)).includes('verified'))
  await spoil(bytes)
  await assert.rejects(read(`/ipfs/${cid}?format=raw`))
  await until('that the copy is verified no more', async () => !(await statesOf(pin.requestid)).includes('verified'))
})

/** Changes the first of these bytes on the node's disk. */
async function spoil(bytes: Uint8Array): Promise<void> {
  const segments = join(cluster.node(0).data, 'blocks', 'segments')
  const last = (await readdir(segments)).sort().at(-1) ?? ''
  await using file = await open(join(segments, last), 'r+')
  const stored = Buffer.alloc((await file.stat()).size)
  await file.read(stored, 0, stored.length, 0)
  const at = stored.indexOf(bytes.subarray(0, 64))
  assert.notEqual(at, -1)
  await file.write(Buffer.of((bytes[0] ?? 0) ^ 1), 0, 1, at)
}
