import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A delegated router that takes records, on a real server. */
export interface TestRouter extends AsyncDisposable {
  url: string
  /** What came by PUT, in its order. */
  puts: { name: string; record: Buffer }[]
  /** Requests so far. */
  asked: number
}

/** @param answer what it does with a request, once the body is read; it takes every record unless told otherwise */
export async function openRouter(answer: RequestListener = (_, response) => response.end()): Promise<TestRouter> {
  const puts: TestRouter['puts'] = []
  async function take(request: IncomingMessage, response: ServerResponse & { req: IncomingMessage }): Promise<void> {
    router.asked += 1
    const record = await bodyOf(request)
    const name = request.url?.replace('/routing/v1/ipns/', '') ?? ''
    if (request.method === 'PUT') puts.push({ name, record })
    answer(request, response)
  }
  const server = createServer((request, response) => void take(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const router: TestRouter = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    puts,
    asked: 0,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  return router
}

/** The URL of a port where nobody listens any more. */
export async function deadRouter(): Promise<string> {
  await using router = await openRouter()
  return router.url
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>))
}
