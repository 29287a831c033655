import type { Connection } from './connection.ts'
import { CommandError, EXIT, type ExitCode } from './exit-codes.ts'

export interface Call {
  body?: unknown
  query?: Record<string, string | number | undefined>
  signal?: AbortSignal | undefined
}

/** A body that is sent as it is made, with the type it has. */
export interface Streamed {
  contentType: string
  stream: ReadableStream<Uint8Array>
  /** Bytes of the whole stream, when known. */
  length?: number | undefined
}

/** The API over `fetch`: JSON in, JSON out, failures as {@link CommandError} with the service's own sentence. */
export class ApiClient {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  get<T>(path: string, call: Call = {}): Promise<T> {
    return this.#call<T>('GET', path, call)
  }

  post<T>(path: string, body: unknown, call: Call = {}): Promise<T> {
    return this.#call<T>('POST', path, { ...call, body })
  }

  put<T>(path: string, body: unknown, call: Call = {}): Promise<T> {
    return this.#call<T>('PUT', path, { ...call, body })
  }

  async delete(path: string, call: Call = {}): Promise<void> {
    await this.#call('DELETE', path, call)
  }

  /** Sends a stream without holding it: what the service has not taken yet is not read. */
  async upload<T>(path: string, { contentType, stream, length }: Streamed, call: Call = {}): Promise<T> {
    const headers = new Headers(this.#headers({ 'content-type': contentType }))
    if (length !== undefined) headers.set('content-length', String(length))
    const init = { method: 'POST', headers, body: stream, duplex: 'half' as const, signal: call.signal ?? null }
    return answer<T>(await this.#fetch(this.#url(path, call.query), init))
  }

  async #call<T>(method: string, path: string, { body, query, signal }: Call): Promise<T> {
    const headers = this.#headers(body === undefined ? {} : { 'content-type': 'application/json' })
    const init: RequestInit = { method, headers, signal: signal ?? null }
    if (body !== undefined) init.body = JSON.stringify(body)
    return answer<T>(await this.#fetch(this.#url(path, query), init))
  }

  #url(path: string, query: Call['query'] = {}): URL {
    const url = new URL(this.#connection.api + path)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    return url
  }

  #headers(extra: Record<string, string>): Record<string, string> {
    const { token } = this.#connection
    return { accept: 'application/json', ...(token === '' ? {} : { authorization: `Bearer ${token}` }), ...extra }
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, init)
    } catch (cause) {
      if (init.signal?.aborted === true) throw cause
      throw new CommandError(EXIT.unreachable, `${url.origin} cannot be reached: ${rootCause(cause)}.`, { cause })
    }
  }
}

async function answer<T>(response: Response): Promise<T> {
  const text = await response.text()
  if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T
  throw new CommandError(exitCodeOf(response.status), sentenceOf(response, text))
}

function sentenceOf(response: Response, text: string): string {
  try {
    const { error } = JSON.parse(text) as { error: { reason: string; details?: string } }
    return error.details ?? error.reason
  } catch {
    return `The service answered ${response.status} ${response.statusText}.`
  }
}

function exitCodeOf(status: number): ExitCode {
  if (status === 401 || status === 403 || status === 409 || status === 429) return EXIT.auth
  if (status === 404 || status === 410) return EXIT.notFound
  if (status === 400 || status === 413 || status === 415) return EXIT.usage
  if (status === 504) return EXIT.timeout
  return status === 502 || status === 503 ? EXIT.unreachable : EXIT.failure
}

function rootCause(error: unknown): string {
  const cause = (error as Error).cause
  const inner = cause instanceof Error ? cause : (error as Error)
  return (inner as NodeJS.ErrnoException).code ?? inner.message
}
