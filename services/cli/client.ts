import { SECOND_MS } from '../core/units.ts'
import type { Service } from './connection.ts'
import { CommandError, EXIT, exitCodeOfAnswer } from './exit-codes.ts'
import { exchange, type Answer, type Body } from './http-exchange.ts'
import { plain } from './terminal-text.ts'

/** Calls answer at once, or after the wait that they ask for (at most a minute); then nobody is there. */
const SILENCE_MS = 90 * SECOND_MS

export interface Call {
  query?: Record<string, string | number | undefined>
  signal: AbortSignal
}

/** The API over HTTP: JSON in, JSON out, failures as {@link CommandError} with the service's own sentence. */
export class ApiClient {
  readonly url: string
  readonly #token: string

  constructor({ url, token }: Service) {
    this.url = url
    this.#token = token
  }

  get<T>(path: string, call: Call): Promise<T> {
    return this.#call('GET', path, undefined, call) as Promise<T>
  }

  /** An answer that is no document of the API but text, such as a report. */
  async text(path: string, { query, signal }: Call): Promise<string> {
    const answer = await this.#ask('GET', path, undefined, { ...(query && { query }), signal })
    if (answer.status !== 200) this.#read(answer)
    return answer.text
  }

  post<T>(path: string, body: unknown, call: Call): Promise<T> {
    return this.#call('POST', path, body, call) as Promise<T>
  }

  put<T>(path: string, body: unknown, call: Call): Promise<T> {
    return this.#call('PUT', path, body, call) as Promise<T>
  }

  async delete(path: string, call: Call): Promise<void> {
    await this.#call('DELETE', path, undefined, call)
  }

  /** Sends a body as it is made: what the service has not taken yet is not read. */
  upload<T>(path: string, body: Body, call: Call): Promise<T> {
    return this.#exchange('POST', path, body, call) as Promise<T>
  }

  #call(method: string, path: string, json: unknown, call: Call): Promise<unknown> {
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(SILENCE_MS)])
    return this.#exchange(method, path, json === undefined ? undefined : jsonBody(json), { ...call, signal })
  }

  async #exchange(method: string, path: string, body: Body | undefined, call: Call): Promise<unknown> {
    return this.#read(await this.#ask(method, path, body, call))
  }

  /** @throws CommandError with `unreachable` */
  async #ask(method: string, path: string, body: Body | undefined, { query, signal }: Call): Promise<Answer> {
    const asked = { method, headers: this.#headers(), signal, ...(body && { body }) }
    try {
      return await exchange(this.#urlOf(path, query), asked)
    } catch (cause) {
      if (cause instanceof CommandError || (signal.aborted && !isTimeout(cause))) throw cause
      throw new CommandError(EXIT.unreachable, `${this.url} cannot be reached: ${reasonOf(cause)}.`, { cause })
    }
  }

  #urlOf(path: string, query: Call['query'] = {}): URL {
    const url = new URL(this.url + path)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    return url
  }

  #headers(): Record<string, string> {
    const accept = { accept: 'application/json' }
    return this.#token === '' ? accept : { ...accept, authorization: `Bearer ${this.#token}` }
  }

  #read({ status, text }: Answer): unknown {
    const body = text === '' ? undefined : parse(text)
    const isOk = status >= 200 && status < 300
    if (isOk && (text === '' || body !== undefined)) return body
    const { reason, details } = (body as Failure | undefined)?.error ?? {}
    const sentence = details ?? reason ?? `${this.url} answers ${status} and no JSON. Is it the API of Holdfast?`
    throw new CommandError(isOk ? EXIT.failure : exitCodeOfAnswer(status, reason), plain(sentence))
  }
}

interface Failure {
  error?: { reason?: string; details?: string }
}

/** Undefined for what is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function jsonBody(value: unknown): Body {
  const bytes = Buffer.from(JSON.stringify(value))
  return { contentType: 'application/json', length: bytes.length, chunks: [bytes] }
}

function isTimeout(error: unknown): boolean {
  const { cause } = error as Error
  return cause instanceof Error && cause.name === 'TimeoutError'
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return isTimeout(error) ? 'it does not answer' : (code ?? message)
}
