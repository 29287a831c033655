import { Agent, request, type IncomingMessage } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { startEmbedded } from '../../services/catalog/embedded.ts'
import { makeToken } from '../../services/catalog/token-text.ts'
import { childEnvironment } from '../../services/runtime/config.ts'
import { startRole } from '../../services/runtime/role-process.ts'
import { rawCid } from '../support/cids.ts'
import { percentile, type Row } from './rows.ts'

/**
 * The pinning API over HTTP: a control plane of its own process, with a Postgres that syncs its commits, and callers in
 * this process. What an empty route of the same server does under the same callers is the limit.
 */

const PROGRAM = resolve(import.meta.dirname, '../../services/main.ts')
const CALLERS = 16
const WARM_UP_MS = 1_000
const MEASURED_MS = 4_000
const PAGES = 300
const ALL = 'status=queued,pinning,pinned,failed'

interface Target {
  url: string
  token: string
  agent: Agent
}

export async function benchApiPins(): Promise<Row[]> {
  await using stack = new AsyncDisposableStack()
  const target = await start(stack)
  let serial = 0
  const addOne = (): Promise<void> => {
    serial += 1
    const body = JSON.stringify({ cid: rawCid(`bench ${serial}`).toString(), name: `bench ${serial}` })
    return call(target, 'POST', '/psa/pins', 202, body)
  }
  const empty = await underLoad(() => call(target, 'GET', '/livez', 200))
  const adding = await underLoad(addOne)
  const pages: number[] = []
  for (let page = 0; page < PAGES; page++) {
    pages.push(await timed(() => call(target, 'GET', `/psa/pins?${ALL}`, 200)))
  }
  return rowsOf(empty, adding, pages)
}

function rowsOf(empty: Load, adding: Load, pages: readonly number[]): Row[] {
  const against = `${empty.perSecond.toFixed(0)}/s on an empty route`
  const addP99 = percentile(adding.latencies, 0.99)
  const pageP99 = percentile(pages, 0.99)
  return [
    {
      what: `POST /psa/pins, ${CALLERS} callers, durable`,
      measured: `${adding.perSecond.toFixed(0)}/s`,
      against,
      ratio: adding.perSecond / empty.perSecond,
      target: '>= 1000/s',
      isMet: adding.perSecond >= 1_000,
    },
    {
      what: `POST /psa/pins, ${CALLERS} callers, p99`,
      measured: `${addP99.toFixed(1)} ms`,
      against: `${percentile(empty.latencies, 0.99).toFixed(1)} ms on an empty route`,
      ratio: addP99 / percentile(empty.latencies, 0.99),
      target: '< 100 ms',
      isMet: addP99 < 100,
    },
    {
      what: 'GET /psa/pins, a page of 10, p99',
      measured: `${pageP99.toFixed(1)} ms`,
      against: '',
      ratio: undefined,
      target: '< 10 ms',
      isMet: pageP99 < 10,
    },
  ]
}

async function start(stack: AsyncDisposableStack): Promise<Target> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-api-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const database = await startEmbedded({ folder: join(folder, 'postgres') })
  stack.defer(() => database.stop())
  const token = makeToken()
  const env = childEnvironment({
    HOLDFAST_ROLES: 'control',
    HOLDFAST_DATA: join(folder, 'control'),
    HOLDFAST_API_PORT: '0',
    DATABASE_URL: database.url,
    HOLDFAST_TOKEN: token,
  })
  const control = stack.use(
    startRole({ name: 'control plane', program: [PROGRAM], env, logFile: join(folder, 'control.log') }),
  )
  const { api } = (await control.ready) as { api: string }
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS })
  stack.defer(() => agent.destroy())
  return { url: api, token, agent }
}

interface Load {
  perSecond: number
  /** Milliseconds. */
  latencies: number[]
}

async function underLoad(work: () => Promise<void>): Promise<Load> {
  const latencies: number[] = []
  const begin = performance.now() + WARM_UP_MS
  const end = begin + MEASURED_MS
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      const startedAt = performance.now()
      await work()
      if (startedAt >= begin) latencies.push(performance.now() - startedAt)
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  return { perSecond: latencies.length / ((performance.now() - begin) / 1_000), latencies }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

function call(
  { url, token, agent }: Target,
  method: string,
  path: string,
  status: number,
  body?: string,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const type =
    body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
  const headers = { Authorization: `Bearer ${token}`, ...type }
  const sent = request(url + path, { agent, method, headers }, (response: IncomingMessage) => {
    response.resume().once('end', () => {
      if (response.statusCode === status) resolve()
      else reject(new Error(`${method} ${path} answered ${response.statusCode}`))
    })
  })
  sent.once('error', reject).end(body)
  return promise
}
