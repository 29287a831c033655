import { createHash } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, readFileSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { formatSize, GIB, KIB, MIB } from '../../services/core/units.ts'
import { Cluster } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { median, type Row } from './rows.ts'

const FILE_BYTES = GIB
const CHUNK = seededBytes(7, 64 * MIB)
const SMALL_FILES = 20_000
const SMALL_ROUNDS = 3
const MEMORY_LIMIT = 400 * MIB

/** A whole local cluster as a user has it: start, large and small uploads, memory, time until three copies are verified. */
export async function benchCluster(): Promise<Row[]> {
  const fresh = performance.now()
  await using cluster = await Cluster.start()
  const rows = [timeRow('npm start, fresh folder', performance.now() - fresh, 15_000)]
  await cluster.json('/v1/policies/one-copy', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ copies: { min: 1, target: 1 } }),
  })
  rows.push(await benchLargeFile(cluster))
  rows.push(await benchSmallFiles(cluster))
  rows.push(await benchThreeCopies(cluster))
  rows.push(memoryRow(cluster))
  await cluster.down()
  const again = performance.now()
  await cluster.up()
  return [...rows, timeRow('npm start, again', performance.now() - again, 8_000)]
}

function timeRow(what: string, ms: number, limitMs: number): Row {
  const seconds = (value: number): string => `${(value / 1_000).toFixed(1)} s`
  return {
    what,
    measured: seconds(ms),
    against: '',
    ratio: undefined,
    target: `< ${seconds(limitMs)}`,
    isMet: ms < limitMs,
  }
}

/** Rounds of the limit and of the upload take turns, since the machine is shared. */
async function benchLargeFile(cluster: Cluster): Promise<Row> {
  const limits: number[] = []
  const uploads: number[] = []
  for (let round = 0; round < 3; round++) {
    limits.push(FILE_BYTES / hashAndWrite(cluster.folder))
    await noticeClosedConnections()
    const start = performance.now()
    const stream = ReadableStream.from<Uint8Array>(chunksOf(round))
    await cluster.json('/v1/uploads?policy=one-copy', {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(FILE_BYTES) },
      body: stream,
      duplex: 'half',
    })
    uploads.push(FILE_BYTES / (performance.now() - start))
  }
  const [limit, upload] = [median(limits), median(uploads)]
  return {
    what: 'upload of 1 GiB until the first copy is durable',
    measured: speed(upload),
    against: `sha256 + fsynced write: ${speed(limit)}`,
    ratio: upload / limit,
    target: '>= 0.4',
    isMet: upload / limit >= 0.4,
  }
}

function speed(bytesPerMs: number): string {
  return `${Math.round((bytesPerMs * 1_000) / MIB)} MiB/s`
}

/** 1 GiB that no round before had. */
function* chunksOf(round: number): Generator<Uint8Array> {
  for (let index = 0; index < FILE_BYTES / CHUNK.length; index++) {
    const chunk = Buffer.from(CHUNK)
    for (let at = 0; at < chunk.length; at += 256 * KIB) chunk.writeUInt32LE(round * 100 + index + 1, at)
    yield chunk
  }
}

/** Connections that the server closed while this thread was busy would else be used once more, and fail. */
async function noticeClosedConnections(): Promise<void> {
  await delay(100)
}

/** What nobody can do without: the hash of the bytes and one synced, sequential write of them. Milliseconds. */
function hashAndWrite(folder: string): number {
  const file = join(folder, 'limit')
  const start = performance.now()
  const hash = createHash('sha256')
  const target = openSync(file, 'w')
  for (const chunk of chunksOf(99)) {
    hash.update(chunk)
    writeSync(target, chunk)
  }
  fdatasyncSync(target)
  closeSync(target)
  hash.digest()
  const ms = performance.now() - start
  rmSync(file)
  return ms
}

async function benchSmallFiles(cluster: Cluster): Promise<Row> {
  const rates: number[] = []
  for (let round = 0; round < SMALL_ROUNDS; round++) {
    const { body, type } = smallFiles(round)
    await noticeClosedConnections()
    const start = performance.now()
    await cluster.json('/v1/uploads?policy=one-copy', { method: 'POST', headers: { 'content-type': type }, body })
    rates.push(SMALL_FILES / ((performance.now() - start) / 1_000))
  }
  const rate = median(rates)
  return {
    what: `folder of ${SMALL_FILES} files of 1 to 10 KiB, first copy durable`,
    measured: `${Math.round(rate)} files/s`,
    against: '',
    ratio: undefined,
    target: '>= 1500 files/s',
    isMet: rate >= 1_500,
  }
}

function smallFiles(round: number): { body: Buffer; type: string } {
  const boundary = 'holdfast-bench'
  const source = seededBytes(100 + round, 11 * KIB * 1_024)
  const parts: Uint8Array[] = []
  for (let index = 0; index < SMALL_FILES; index++) {
    const length = KIB + ((index * 7_919) % (9 * KIB))
    const from = (index * 523) % (source.length - length)
    const name = `d${index % 100}/f${index}.bin`
    parts.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`))
    parts.push(source.subarray(from, from + length), Buffer.from('\r\n'))
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`))
  return { body: Buffer.concat(parts), type: `multipart/form-data; boundary=${boundary}` }
}

async function benchThreeCopies(cluster: Cluster): Promise<Row> {
  const times: number[] = []
  for (let round = 0; round < 3; round++) {
    const bytes = seededBytes(1_000 + round, 64 * MIB)
    const { pin } = await cluster.upload(bytes)
    const start = performance.now()
    await cluster.pinned(pin.requestid, 3)
    times.push(performance.now() - start)
  }
  return timeRow('64 MiB from durable on one node to verified on three', median(times), 3_000)
}

/** The largest resident size of each process of the cluster, as the kernel kept it since the process began. */
function memoryRow(cluster: Cluster): Row {
  const peaks = processesOf(cluster.ready.control.pid, ...cluster.ready.nodes.map(({ pid }) => pid))
  const largest = peaks.reduce((a, b) => (a.bytes > b.bytes ? a : b))
  return {
    what: 'memory of the largest process during it all',
    measured: `${formatSize(largest.bytes)} (${largest.name})`,
    against: '',
    ratio: undefined,
    target: `< ${formatSize(MEMORY_LIMIT)}`,
    isMet: largest.bytes < MEMORY_LIMIT,
  }
}

/** The processes and their children. */
function processesOf(...pids: number[]): { name: string; bytes: number }[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const children = all.map(Number).filter((pid) => pids.includes(parentOf(pid)))
  return [...pids, ...children].map((pid) => ({ name: roleOf(pid), bytes: peakOf(pid) }))
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(statusOf(pid))?.[1] ?? 0)
}

function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(statusOf(pid))?.[1] ?? 0) * KIB
}

function roleOf(pid: number): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  const roles = /HOLDFAST_ROLES=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'))?.[1] ?? ''
  return words.includes('peer') ? 'peer' : roles
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}
