import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A delegated router, or something that stands where one should. */
export interface TestRouter extends AsyncDisposable {
  url: string
  /** Requests that came so far. */
  asked: number
}

/** An HTTP server on a port of its own. */
export async function openRouter(answer: RequestListener): Promise<TestRouter> {
  const server = createServer((request, response) => {
    router.asked += 1
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const router: TestRouter = {
    url: `http://127.0.0.1:${port}`,
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
  await using router = await openRouter(() => {})
  return router.url
}
