import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { raiseEvent, type NewEvent } from '../../services/catalog/events.ts'
import { sealWith } from '../../services/catalog/sealed-secret.ts'
import { EVENTS } from '../../services/catalog/wake.ts'
import type { AccountEvent } from '../../services/core/events.ts'
import { startNotifier, type NotifierOptions } from '../../services/notifier/notifier.ts'
import type { TestApi } from './api.ts'
import { memoryLog } from './web.ts'

/** A notifier over an API's database, that may tell servers of this machine. */
export function runNotifier(api: TestApi, options: Partial<NotifierOptions> = {}): AsyncDisposable {
  const stop = new AbortController()
  const { db, wakes } = api
  const ended = startNotifier({
    db,
    wakes,
    seal: sealWith('test'),
    sending: { allowsLoopback: true },
    log: memoryLog().log,
    everyMs: 20,
    signal: stop.signal,
    ...options,
  })
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await ended
    },
  }
}

/** Lets something happen to the first tenant. */
export async function raise(api: TestApi, subject: string, type: NewEvent['type'] = 'name.published'): Promise<void> {
  await raiseEvent(api.db, api.tenantId, { type, subject, data: { about: subject } })
  api.wakes.announce(EVENTS)
}

/** What a receiver was posted. */
export interface Received {
  event: AccountEvent
  body: string
  headers: IncomingMessage['headers']
}

/** A server on this machine that webhooks are sent to. */
export interface Receiver extends AsyncDisposable {
  url: string
  received: Received[]
  /** What it answers from now on. */
  answer: (request: IncomingMessage, response: ServerResponse) => void
}

export async function receive(): Promise<Receiver> {
  const receiver: Receiver = {
    url: '',
    received: [],
    answer: (_request, response) => response.end(),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.on('error', () => {})
    const body = await text(request)
    receiver.received.push({ event: JSON.parse(body) as AccountEvent, body, headers: request.headers })
    receiver.answer(request, response)
  }
  const server = createServer((request, response) => void take(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  return receiver
}

/** Whether a message is signed by the secret, reckoned as the specification says. */
export function isSigned({ body, headers }: Received, secret: string): boolean {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const [id, timestamp, signature] = ['id', 'timestamp', 'signature'].map((name) => headers[`webhook-${name}`])
  const expected = createHmac('sha256', key)
    .update(`${String(id)}.${String(timestamp)}.${body}`)
    .digest('base64')
  return String(signature).split(' ').includes(`v1,${expected}`)
}
