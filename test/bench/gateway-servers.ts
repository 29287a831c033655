import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { pino } from 'pino'
import { openBlockReader } from '../../services/blocks/reader.ts'
import { startGateway } from '../../services/gateway/server.ts'

/**
 * A server process of the gateway benchmark: `static FILES`, or `gateway STORE CACHE_BYTES`. Tells its parent its URL, and
 * on each message the CPU time it has used (microseconds).
 */
const [kind, folder = '', cacheBytes = '0'] = process.argv.slice(2)
const url = kind === 'static' ? await serveFiles(folder) : await serveStore(folder, Number(cacheBytes))

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.(user + system)
})
process.on('disconnect', () => process.exit())
process.send?.(url)

/** What the benchmark measures against: Node's own HTTP server over files, with nothing else. */
async function serveFiles(files: string): Promise<string> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const file = join(files, request.url ?? '/')
    const { size } = await stat(file)
    const headers = { 'content-type': 'application/octet-stream', etag: `"${size}"` }
    if (request.headers['if-none-match'] === headers.etag) {
      response.writeHead(304, { etag: headers.etag }).end()
      return
    }
    response.writeHead(200, { ...headers, 'content-length': size })
    if (request.method === 'HEAD') response.end()
    else pipeline(createReadStream(file), response, () => {})
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function serveStore(store: string, cacheBytes: number): Promise<string> {
  const gateway = await startGateway({
    store: await openBlockReader(store),
    log: pino({ level: 'silent' }),
    host: '127.0.0.1',
    port: 0,
    // A benchmark is one address.
    settings: { cacheBytes, maxConnectionsPerAddress: 1_024 },
  })
  return gateway.url
}
