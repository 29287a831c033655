import { bytesUpTo } from '../core/bounded-bytes.ts'
import { MIB, SECOND_MS } from '../core/units.ts'
import { failureOfAnswer, RpcFailure } from './rpc-failure.ts'

export interface RpcCall {
  method: string
  params: readonly unknown[]
}

/** The result of a call, or why it has none. */
export type RpcResult = { result: unknown } | { failure: RpcFailure }

export interface RpcOptions {
  url: string
  /** @default 30 s */
  timeoutMs?: number
  /** Bytes of an answer. @default 64 MiB */
  maxAnswerBytes?: number
}

/**
 * One JSON-RPC 2.0 server over HTTP (https://www.jsonrpc.org/specification). Connections are kept; redirects are not
 * followed. Numbers of more than 53 bits are hex strings in Ethereum's JSON-RPC, so nothing is lost by parsing.
 */
export class JsonRpc {
  readonly #url: string
  readonly #timeoutMs: number
  readonly #maxAnswerBytes: number
  #id = 0

  constructor({ url, timeoutMs = 30 * SECOND_MS, maxAnswerBytes = 64 * MIB }: RpcOptions) {
    this.#url = url
    this.#timeoutMs = timeoutMs
    this.#maxAnswerBytes = maxAnswerBytes
  }

  /** @throws RpcFailure */
  async call(call: RpcCall, signal?: AbortSignal): Promise<unknown> {
    const request = this.#request(call)
    const answer = await this.#post(request, signal)
    const result = resultOf(answer)
    if ('failure' in result) throw result.failure
    return result.result
  }

  /**
   * Several calls by one request, answered in their order; those that the server left out have failed as `unreachable`.
   * @throws RpcFailure when the batch failed as a whole
   */
  async batch(calls: readonly RpcCall[], signal?: AbortSignal): Promise<RpcResult[]> {
    if (calls.length === 0) return []
    const requests = calls.map((call) => this.#request(call))
    const answer = await this.#post(requests, signal)
    if (!Array.isArray(answer)) {
      const whole = resultOf(answer)
      throw 'failure' in whole ? whole.failure : new RpcFailure('unsupported', 'The provider does not take batches.')
    }
    const byId = new Map(answer.filter(isObject).map((item) => [item['id'], item]))
    return requests.map(({ id }) => {
      const item = byId.get(id)
      return item === undefined ? { failure: unreachable('left out a call of a batch') } : resultOf(item)
    })
  }

  #request({ method, params }: RpcCall): RpcCall & { jsonrpc: '2.0'; id: number } {
    this.#id += 1
    return { jsonrpc: '2.0', id: this.#id, method, params }
  }

  async #post(body: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    const timeout = AbortSignal.timeout(this.#timeoutMs)
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      })
      const text = await this.#text(response)
      if (response.status === 429) throw busy(response)
      return this.#parsed(text, response)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof RpcFailure) throw error
      throw unreachable(
        timeout.aborted ? `gave no answer within ${this.#timeoutMs} ms` : 'could not be reached',
        this.#masked(error),
      )
    }
  }

  async #text(response: Response): Promise<string> {
    if (response.body === null) return ''
    const tooMuch = (): Error => new RpcFailure('too-much', 'The answer of the provider is too large.')
    return (await bytesUpTo(response.body, this.#maxAnswerBytes, tooMuch)).toString('utf8')
  }

  #parsed(text: string, response: Response): unknown {
    let answer: unknown
    try {
      answer = JSON.parse(text)
    } catch {
      throw unreachable(`answered ${response.status} with something that is no JSON`)
    }
    // Many providers answer 4xx with a proper error object.
    if (!response.ok && !(isObject(answer) && 'error' in answer)) throw unreachable(`answered ${response.status}`)
    return answer
  }

  /** Keys of providers stand in their URLs, and URLs in the messages of failures. */
  #masked(error: unknown): Error | undefined {
    return error instanceof Error ? new Error(error.message.replaceAll(this.#url, '[url]')) : undefined
  }
}

function resultOf(answer: unknown): RpcResult {
  if (!isObject(answer)) return { failure: unreachable('answered something that is no answer') }
  if (answer['error'] !== undefined && answer['error'] !== null) {
    return { failure: failureOfAnswer(answer['error']) }
  }
  if (!('result' in answer)) return { failure: unreachable('answered without a result') }
  return { result: answer['result'] }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function unreachable(what: string, cause?: Error): RpcFailure {
  return new RpcFailure('unreachable', `A provider of the chain ${what}.`, { cause })
}

function busy({ headers }: Response): RpcFailure {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  const retryAfterMs = Number.isFinite(seconds) ? Math.max(0, seconds) * SECOND_MS : undefined
  return new RpcFailure('busy', 'The provider takes no more calls for now.', { retryAfterMs })
}
