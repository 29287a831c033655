import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { KIB, MIB, SECOND_MS } from '../../services/core/units.ts'
import { startGateway } from '../../services/gateway/server.ts'
import { temporaryFolder } from '../support/blocks.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { storeFile } from '../transfer/nodes.ts'
import { median, percentile, type Row } from './rows.ts'

/**
 * What slow readers of a large file cost an edge node and its other readers, and what a small range of it costs.
 */

const LARGE_BYTES = 1_024 * MIB
const SLOW_READERS = 500
const MAX_GROWTH_BYTES = 64 * MIB
const OTHER_REQUESTS = 1_000
const ROUNDS = 5
const PARTS = 8

export async function benchEdge(): Promise<Row[]> {
  await using folder = await temporaryFolder()
  const store = join(folder.path, 'store')
  const [small, large] = await prepare(store)
  return [...(await slowReaders(store, small, large)), await smallRange(store, large)]
}

/** Paths of a small file and of a large one. */
async function prepare(folder: string): Promise<[small: string, large: string]> {
  await using store = await openBlockStore(folder)
  const small = await storeFile(store, seededBytes(2, KIB))
  const large = await storeFile(store, seededBytes(3, LARGE_BYTES))
  return [`/ipfs/${small.cid.toString()}?filename=a.bin`, `/ipfs/${large.cid.toString()}?filename=a.bin`]
}

interface Child extends AsyncDisposable {
  process: ChildProcess
  url: string
}

async function startGatewayOver(store: string): Promise<Child> {
  const child = fork(new URL('gateway-servers.ts', import.meta.url), ['gateway', store, String(64 * MIB)])
  const [url] = (await once(child, 'message')) as [string]
  return {
    process: child,
    url,
    async [Symbol.asyncDispose]() {
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

/** The times, in milliseconds, of so many requests over so many connections. */
async function askMany(url: string, path: string, connections: number, requests: number): Promise<number[]> {
  const times: number[] = []
  let left = requests
  const client = async (): Promise<void> => {
    const socket = await dial(url)
    const length = await lengthOfAnswer(socket, path)
    while (left-- > 0) {
      const startedAt = performance.now()
      socket.write(requestFor(path))
      await take(socket, length)
      times.push(performance.now() - startedAt)
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: connections }, client))
  return times
}

async function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).setNoDelay(true)
  await once(socket, 'connect')
  return socket.pause()
}

function requestFor(path: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: gateway\r\n\r\n`
}

/** Bytes of an answer to a request, which are the same each time but for the figures of its timing. */
async function lengthOfAnswer(socket: Socket, path: string): Promise<number> {
  socket.write(requestFor(path))
  let answer = ''
  for (;;) {
    const piece = socket.read() as Buffer | null
    if (piece === null) await once(socket, 'readable')
    else answer += piece.toString('latin1')
    const head = answer.indexOf('\r\n\r\n')
    if (head < 0) continue
    const length = Number(/content-length: (\d+)/i.exec(answer)?.[1])
    if (answer.length >= head + 4 + length) return length
  }
}

/** Reads an answer whose body has that length. */
async function take(socket: Socket, bodyBytes: number): Promise<void> {
  let received: Buffer = Buffer.alloc(0)
  for (;;) {
    const piece = socket.read() as Buffer | null
    if (piece === null) await once(socket, 'readable')
    else received = received.length === 0 ? piece : Buffer.concat([received, piece])
    const head = received.indexOf('\r\n\r\n')
    if (head >= 0 && received.length >= head + 4 + bodyBytes) return
  }
}

async function slowReaders(store: string, small: string, large: string): Promise<Row[]> {
  await using gateway = await startGatewayOver(store)
  const { url } = gateway
  await askMany(url, small, 1, OTHER_REQUESTS)
  await readSome(url, large)
  const growths: number[] = []
  const calmTimes: number[] = []
  const busyTimes: number[] = []
  let lost = 0
  for (let round = 0; round < ROUNDS; round++) {
    calmTimes.push(percentile(await askMany(url, small, 1, OTHER_REQUESTS), 0.99))
    const before = await memoryOf(gateway.process)
    let peak = before
    await using readers = await startSlowReaders(url, large)
    const times: number[] = []
    for (let part = 0; part < PARTS; part++) {
      times.push(...(await askMany(url, small, 1, OTHER_REQUESTS / PARTS)))
      peak = Math.max(peak, await memoryOf(gateway.process))
      await delay(SECOND_MS / 4)
    }
    busyTimes.push(percentile(times, 0.99))
    growths.push(peak - before)
    lost += await readers.cutOff()
  }
  const calm = median(calmTimes)
  const busy = median(busyTimes)
  const growth = median(growths)
  return [
    {
      what: `${SLOW_READERS} slow readers of 1 GiB: memory of the gateway`,
      measured: `+${(growth / MIB).toFixed(0)} MiB, ${lost} cut off`,
      against: '',
      ratio: undefined,
      target: `< ${MAX_GROWTH_BYTES / MIB} MiB`,
      isMet: growth < MAX_GROWTH_BYTES && lost === 0,
    },
    {
      what: 'another client beside them: p99 of 1 KiB',
      measured: `${busy.toFixed(2)} ms`,
      against: `${calm.toFixed(2)} ms without them`,
      ratio: busy / calm,
      target: '<= 2',
      isMet: busy <= calm * 2,
    },
  ]
}

/** Has the gateway's own pools filled, so that they do not pass for what slow readers take. */
async function readSome(url: string, path: string): Promise<void> {
  const answer = await fetch(url + path, { headers: { range: `bytes=0-${64 * MIB - 1}` } })
  await answer.arrayBuffer()
}

async function startSlowReaders(url: string, path: string): Promise<AsyncDisposable & { cutOff(): Promise<number> }> {
  const child = fork(new URL('slow-readers.ts', import.meta.url), [url, path, String(SLOW_READERS)])
  await once(child, 'message')
  return {
    async cutOff() {
      child.send('cut off')
      const [count] = (await once(child, 'message')) as [number]
      return count
    },
    async [Symbol.asyncDispose]() {
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

/** Bytes of memory that a process has for itself, without pages of files. */
async function memoryOf({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) * KIB
}

async function smallRange(folder: string, path: string): Promise<Row> {
  await using store = await openBlockReader(folder)
  const sizes: number[] = []
  const counted: Pick<typeof store, 'get' | 'sizeOf'> = {
    sizeOf: (cid) => store.sizeOf(cid),
    async get(cid, options) {
      const bytes = await store.get(cid, options)
      sizes.push(bytes?.length ?? 0)
      return bytes
    },
  }
  const settings = { cacheBytes: 0 }
  await using gateway = await startGateway({
    store: counted,
    settings,
    log: pino({ level: 'silent' }),
    host: '127.0.0.1',
    port: 0,
  })
  const start = LARGE_BYTES / 2 + 12_345
  const answer = await fetch(gateway.url + path, { headers: { range: `bytes=${start}-${start + MIB - 1}` } })
  const { byteLength } = await answer.arrayBuffer()
  if (byteLength !== MIB) throw new Error(`a range came with ${byteLength} bytes`)
  const leafBytes = Math.max(...sizes)
  const own = Math.floor((start + MIB - 1) / leafBytes) - Math.floor(start / leafBytes) + 1
  const beyond = sizes.length - own
  return {
    what: 'range of 1 MiB in a file of 1 GiB: blocks read beside its own',
    measured: String(beyond),
    against: '',
    ratio: undefined,
    target: '<= 3',
    isMet: beyond <= 3,
  }
}
