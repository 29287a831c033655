import assert from 'node:assert/strict'
import type { AccountEvent } from '../../services/core/events.ts'
import { until } from './until.ts'

/** Server-sent events as a client reads them. */
export class Stream implements AsyncDisposable {
  readonly events: AccountEvent[] = []
  readonly ids: string[] = []
  heartbeats = 0
  ended = false
  #failure: Error | undefined
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #reading: Promise<void>

  constructor(response: Response) {
    assert.equal(response.status, 200)
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
    this.#reader = (response.body as ReadableStream<Uint8Array>).getReader()
    this.#reading = this.#read()
  }

  async #read(): Promise<void> {
    let text = ''
    const decoder = new TextDecoder()
    try {
      for (;;) {
        const { done, value } = await this.#reader.read()
        if (done) break
        const parts = (text + decoder.decode(value, { stream: true })).split('\n\n')
        text = parts.pop() ?? ''
        for (const part of parts) this.#take(part)
      }
      this.ended = true
    } catch (error) {
      this.#failure = error as Error
    }
  }

  #take(part: string): void {
    if (part === ':') this.heartbeats++
    const fields = new Map(part.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]))
    const [id, data] = [fields.get('id'), fields.get('data')]
    if (id === undefined || data === undefined) return
    this.ids.push(id)
    this.events.push(JSON.parse(data) as AccountEvent)
  }

  async has(...subjects: string[]): Promise<void> {
    await until(subjects.join(), () => {
      if (this.#failure !== undefined) throw this.#failure
      return this.events.length >= subjects.length
    })
    assert.deepEqual(
      this.events.map(({ subject }) => subject),
      subjects,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => {})
    await this.#reading
  }
}
