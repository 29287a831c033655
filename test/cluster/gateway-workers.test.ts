import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { signUrl } from '../../services/core/signed-url.ts'
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
  const port = await freePair()
  // The control plane has the first port, the node the next.
  metricsUrl = `http://127.0.0.1:${port + 1}/metrics`
  cluster = await Cluster.start({
    HOLDFAST_NODES: '1',
    HOLDFAST_GATEWAY_WORKERS: String(WORKERS),
    HOLDFAST_METRICS_PORT: String(port),
  })
})
after(() => cluster[Symbol.asyncDispose]())

/** The first of two free ports in a row, out of those that systems give to clients and clusters of tests take. */
async function freePair(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 9_000)
    if ((await isFree(port)) && (await isFree(port + 1))) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
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

/** The head of an answer over a connection of its own, so that the system chooses a process for it. */
async function ask(path: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  get(`${cluster.node(0).gateway}${path}`, { agent: new Agent({ keepAlive: false }) }, resolve).once('error', reject)
  return await promise
}

async function read(path: string): Promise<Buffer> {
  const response = await ask(path)
  const body = await buffer(response)
  assert.equal(response.statusCode, 200, path)
  return body
}

/** Reads as a client does that tries once more when its connection was of a process that died. */
async function readAgain(path: string): Promise<Buffer> {
  try {
    return await read(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
    return await read(path)
  }
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

test('all processes serve what is uploaded, and what they count is shown', async () => {
  const bytes = seededBytes(1, 3_000_000)
  const { cid } = await cluster.upload(bytes)
  const before = await counted('ipfs_http_gw_responses_total')
  for (const body of await readByAll(`/ipfs/${cid}`)) assert.ok(body.equals(bytes))
  assert.equal((await counted('ipfs_http_gw_responses_total')) - before, 20 * WORKERS)
  assert.equal((await workers()).length, WORKERS)
})

test('each process is told apart in the metrics, and the node keeps its own', async () => {
  const text = await (await fetch(metricsUrl)).text()
  const labels = (metric: string): string[] =>
    [...text.matchAll(new RegExp(`^${metric}\\{(.*)\\} `, 'gm'))].map(([, found]) => found ?? '').sort()
  const name = `node="${cluster.node(0).id}"`
  const each = Array.from({ length: WORKERS }, (_, index) => `${name},worker="${index}"`)
  assert.deepEqual(labels('holdfast_gateway_truncated_total'), each)
  assert.deepEqual(labels('process_start_time_seconds'), [name, ...each])
  assert.equal(text.match(/^# TYPE process_start_time_seconds /gm)?.length, 1)
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

/** Content that is read by a signed URL alone, whose key no process has in a file. */
async function signedPath(text: string): Promise<string> {
  const { cid } = await cluster.upload(text)
  const json = { 'content-type': 'application/json' }
  await cluster.json(`/v1/access/${cid}`, { method: 'PUT', headers: json, body: JSON.stringify({ signedUrl: true }) })
  const { key } = await cluster.json<{ key: string }>('/v1/signing-keys', { method: 'POST' })
  const expires = Math.floor(Date.now() / 1_000) + 3_600
  const signature = signUrl(Buffer.from(key, 'base64url'), `/ipfs/${cid}`, expires)
  const path = `/ipfs/${cid}?hf-prefix=${encodeURIComponent(`/ipfs/${cid}`)}&hf-exp=${expires}&hf-sig=${signature}`
  await until('the rule with every process', async () => await isRefusedByAll(`/ipfs/${cid}`))
  await until('the key with every process', async () => (await readByAll(path)).every((body) => body.length > 0))
  return path
}

async function isRefusedByAll(path: string): Promise<boolean> {
  const answers = await Promise.all(Array.from({ length: 20 * WORKERS }, () => ask(path)))
  for (const answer of answers) answer.resume()
  return answers.every(({ statusCode }) => statusCode === 401)
}

test('reads go on while a process is killed and comes back, by signed URLs too', async () => {
  const path = await signedPath('read on')
  const [first] = await workers()
  assert.ok(first)
  const readyBefore = await readyLines()
  process.kill(first, 'SIGKILL')
  const answers: Promise<Buffer>[] = []
  await until('that it is ready again', async () => {
    const some = Array.from({ length: 10 }, () => readAgain(path))
    answers.push(...some)
    await Promise.allSettled(some)
    return (await readyLines()) > readyBefore
  })
  for (const body of await Promise.all(answers)) assert.equal(body.toString(), 'read on')
  assert.ok(!(await workers()).includes(first))
  for (const body of await readByAll(path)) assert.equal(body.toString(), 'read on')
})

/** How often a gateway process has become ready. */
async function readyLines(): Promise<number> {
  const log = await readFile(join(cluster.folder, 'logs', `${cluster.node(0).id}.log`), 'utf8')
  return log.match(/gateway process \d+ is ready/g)?.length ?? 0
}

test('answers under way are whole though their process is told to stop, and told again', async () => {
  const bytes = seededBytes(3, 16_000_000)
  const { cid } = await cluster.upload(bytes)
  const answers = await Promise.all(Array.from({ length: 4 * WORKERS }, () => ask(`/ipfs/${cid}`)))
  const before = await workers()
  const readyBefore = await readyLines()
  // A terminal and some service managers signal every process, and the node then tells its own.
  for (const pid of before) process.kill(pid, 'SIGTERM')
  await until('that nobody listens', async () => {
    const answer = await ask(`/ipfs/${cid}`).catch(() => undefined)
    answer?.destroy()
    return answer === undefined
  })
  for (const pid of before) process.kill(pid, 'SIGTERM')
  for (const answer of answers) assert.ok((await buffer(answer)).equals(bytes))
  await until('others in their place', async () => (await readyLines()) === readyBefore + WORKERS)
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
  const answer = await ask(`/ipfs/${cid}?format=raw`)
  answer.resume()
  assert.ok((answer.statusCode ?? 0) >= 500)
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

test('a node that is killed leaves no process behind, and comes back on its port', async () => {
  const { id, gateway } = cluster.node(0)
  const { cid } = await cluster.upload('read again')
  const before = await workers()
  await cluster.kill(id)
  await until('that its processes have ended', () => !before.some((pid) => existsSync(`/proc/${pid}`)))
  await cluster.join(id)
  assert.equal(cluster.node(0).gateway, gateway)
  assert.equal((await workers()).length, WORKERS)
  for (const body of await readByAll(`/ipfs/${cid}`)) assert.equal(body.toString(), 'read again')
})
