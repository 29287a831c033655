import { Agent, request, type IncomingMessage } from 'node:http'
import type { Abortable } from '../core/block-source.ts'
import { HoldfastError, type ErrorCode } from '../core/errors.ts'
import { MAX_JSON_BYTES, type FailureAnswer } from './wire.ts'

export interface Call extends Abortable {
  method: 'GET' | 'POST'
  path: string
  /** Sent as JSON. */
  body?: unknown
}

/** HTTP calls over a unix domain socket, whose failures are `HoldfastError`s. */
export class SocketCalls implements Disposable {
  readonly #agent: Agent
  readonly #socketPath: string

  constructor(socketPath: string) {
    this.#socketPath = socketPath
    this.#agent = new Agent()
  }

  /**
   * The answer, its body to be read.
   * @throws what the server says; UNAVAILABLE when nobody listens; the signal's reason
   */
  async open(call: Call): Promise<IncomingMessage> {
    const response = await this.#send(call)
    if ((response.statusCode ?? 500) < 400) return response
    throw await failureIn(response)
  }

  async json<T>(call: Call): Promise<T> {
    const bytes = await this.bytes(call, MAX_JSON_BYTES)
    return (bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'))) as T
  }

  /** The whole body. @throws UPSTREAM_FAILED when it has more than `maxBytes` */
  async bytes(call: Call, maxBytes: number): Promise<Buffer> {
    const response = await this.open(call)
    try {
      return await readAll(response, maxBytes)
    } catch (error) {
      call.signal?.throwIfAborted()
      throw error instanceof HoldfastError ? error : unavailable(error)
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  #send({ method, path, body, signal }: Call): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' }
      const sent = request({ socketPath: this.#socketPath, agent: this.#agent, method, path, headers, signal })
      sent.on('response', resolve)
      sent.on('error', (error) => reject(signal?.aborted === true ? signal.reason : unavailable(error)))
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
}

async function readAll(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) throw new HoldfastError('UPSTREAM_FAILED', 'The peer process sent more than was asked for.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}

async function failureIn(response: IncomingMessage): Promise<HoldfastError> {
  try {
    const { error } = JSON.parse((await readAll(response, MAX_JSON_BYTES)).toString('utf8')) as FailureAnswer
    return new HoldfastError(error.reason as ErrorCode, error.details)
  } catch (cause) {
    return new HoldfastError('UPSTREAM_FAILED', `The peer process answered ${response.statusCode}.`, { cause })
  }
}

function unavailable(cause: unknown): HoldfastError {
  return new HoldfastError('UNAVAILABLE', 'The peer process is not running.', { cause, retryAfterSeconds: 1 })
}
