import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'

interface Call {
  id: number
  method: string
  params: unknown[]
}

interface Answer {
  id: number
  result?: unknown
  error?: unknown
}

/** How a provider in front of an honest one misbehaves; what is not set is passed on as it is. */
export interface Manners {
  /** How long each answer takes it more than the honest one, in milliseconds. */
  slowMs?: number
  /** Answers 429 to so many requests first. */
  busyFor?: number
  /** Refuses batches, in the words of one that takes no more calls than this. */
  mostCalls?: number
  shuffles?: boolean
  /** Leaves out the last answer of each batch. */
  forgets?: boolean
  /** Ends in the middle of the answer so many times first. */
  cutsFor?: number
  /** Blocks that it is behind. */
  lag?: number
  /** The number that it claims for blocks that are asked for by their name. */
  claims?: bigint
  /** The block that it calls final, by the newest one. */
  finalOf?: (head: number) => number
  /** Changes what calls of contracts return. */
  lies?: boolean
  /** How it treats the third parameter of `eth_call`. */
  overrides?: 'refused' | 'ignored'
  /** Bytes that a call may return. */
  mostBytes?: number
  /** Blocks whose logs it answers at once. */
  mostBlocks?: number
  /** Answers so many times first that there are no logs. */
  emptiesFor?: number
}

/** A provider with bad manners; counts what it is asked. */
export interface Zoo extends AsyncDisposable {
  url: string
  /** Requests over HTTP. */
  requests: number
  /** Calls in them, by method. */
  calls: Map<string, number>
  manners: Manners
}

/** Puts a provider with these manners, which can be changed, in front of the honest one at `url`. */
export async function openZoo(url: string, manners: Manners = {}): Promise<Zoo> {
  const server = createServer((request, response) => {
    answer(request, response, zoo, url).catch((error: Error) => response.destroy(error))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const zoo: Zoo = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: 0,
    calls: new Map(),
    manners,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
  return zoo
}

async function answer(request: IncomingMessage, response: ServerResponse, zoo: Zoo, url: string): Promise<void> {
  const { manners } = zoo
  const asked = JSON.parse(await text(request)) as Call | Call[]
  zoo.requests += 1
  for (const { method } of [asked].flat()) zoo.calls.set(method, (zoo.calls.get(method) ?? 0) + 1)
  if ((manners.busyFor ?? 0) > 0) {
    manners.busyFor = (manners.busyFor ?? 0) - 1
    response.writeHead(429, { 'retry-after': '0' }).end('slow down')
    return
  }
  const body = JSON.stringify(await answersOf(asked, manners, url))
  if (manners.slowMs !== undefined) await delay(manners.slowMs)
  response.writeHead(200, { 'content-type': 'application/json' })
  if ((manners.cutsFor ?? 0) > 0) {
    manners.cutsFor = (manners.cutsFor ?? 0) - 1
    response.end(body.slice(0, body.length / 2))
    return
  }
  response.end(body)
}

async function answersOf(asked: Call | Call[], manners: Manners, url: string): Promise<unknown> {
  if (!Array.isArray(asked)) return await answerOf(asked, manners, url)
  if (manners.mostCalls !== undefined && asked.length > manners.mostCalls) {
    return { id: null, error: { code: -32_000, message: `batch limit ${manners.mostCalls} exceeded` } }
  }
  const answers = await Promise.all(asked.map((call) => answerOf(call, manners, url)))
  if (manners.forgets === true) answers.pop()
  return manners.shuffles === true ? answers.reverse() : answers
}

async function answerOf(call: Call, manners: Manners, url: string): Promise<Answer> {
  const isOverride = call.method === 'eth_call' && call.params.length > 2
  if (isOverride && manners.overrides === 'refused') {
    return { id: call.id, error: { code: -32_602, message: 'too many arguments, want at most 2' } }
  }
  if (call.method === 'eth_call' && (manners.lag ?? 0) > 0) {
    return { id: call.id, error: { code: -32_000, message: 'header not found' } }
  }
  if (call.method === 'eth_getLogs' && blocksOf(call) > (manners.mostBlocks ?? Infinity)) {
    return {
      id: call.id,
      error: { code: -32_602, message: `eth_getLogs is limited to a ${manners.mostBlocks} block range` },
    }
  }
  const isNamed = call.method === 'eth_getBlockByNumber' && !String(call.params[0]).startsWith('0x')
  if (isNamed && manners.claims !== undefined) {
    return { id: call.id, result: { number: `0x${manners.claims.toString(16)}`, hash: `0x${'11'.repeat(32)}` } }
  }
  if (call.method === 'eth_getLogs' && (manners.emptiesFor ?? 0) > 0) {
    manners.emptiesFor = (manners.emptiesFor ?? 0) - 1
    return { id: call.id, result: [] }
  }
  const params = await paramsOf(call, manners, url)
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...call, params }),
  })
  return changed(call, (await response.json()) as Answer, manners)
}

/** The parameters as the honest one gets them. */
async function paramsOf({ method, params }: Call, manners: Manners, url: string): Promise<unknown[]> {
  const { lag = 0, finalOf, overrides } = manners
  if (method === 'eth_call' && overrides === 'ignored') return params.slice(0, 2)
  if (method !== 'eth_getBlockByNumber') return params
  const isFinal = params[0] === 'finalized' && finalOf !== undefined
  if (!isFinal && (params[0] !== 'latest' || lag === 0)) return params
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_blockNumber', params: [] }),
  })
  const { result } = (await response.json()) as { result: string }
  const number = isFinal ? finalOf(Number(result)) : Number(result) - lag
  return [`0x${Math.max(0, number).toString(16)}`, ...params.slice(1)]
}

function blocksOf({ params }: Call): number {
  const { fromBlock, toBlock } = params[0] as { fromBlock?: string; toBlock: string }
  if (fromBlock === undefined) return 1
  return Number(toBlock) - Number(fromBlock) + 1
}

function changed(call: Call, answered: Answer, { lag, lies, mostBytes }: Manners): Answer {
  const { id, result } = answered
  if (typeof result !== 'string') return answered
  if (call.method === 'eth_blockNumber' && lag !== undefined)
    return { id, result: `0x${(BigInt(result) - BigInt(lag)).toString(16)}` }
  if (call.method !== 'eth_call') return answered
  if (mostBytes !== undefined && result.length / 2 > mostBytes) {
    return {
      id,
      error: {
        code: -32_000,
        message: `call retuned result on length ${result.length / 2} exceeding return data limit ${mostBytes}`,
      },
    }
  }
  // A digit near the end: a path, where it changes what a token points to.
  if (lies === true) return { id, result: result.replace(/2e6a736f6e/, '2f6a736f6e') }
  return answered
}
