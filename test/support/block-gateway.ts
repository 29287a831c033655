import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CID } from 'multiformats/cid'
import { readBlock } from '../../services/dag/read-block.ts'
import { resolve } from '../../services/dag/resolve.ts'
import { walk } from '../../services/dag/walk.ts'
import { writeCar } from '../../services/dag/write-car.ts'
import { joined, type MemoryBlocks } from './dag.ts'

/** How a gateway lies: what it makes of the bytes of its CARs and of its blocks. */
export interface Lies {
  car?: (bytes: Buffer) => Buffer
  block?: (bytes: Buffer) => Buffer
  /** Ends the connection after this many bytes of a CAR, whatever its length. */
  breakAfter?: number
}

export interface BlockGateway extends AsyncDisposable {
  url: string
  /** Paths that were asked for. */
  asked: string[]
}

/** A small trustless gateway over blocks in memory, honest or not. */
export async function blockGateway(blocks: MemoryBlocks, lies: Lies = {}): Promise<BlockGateway> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request, response, blocks, lies).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, blocks: MemoryBlocks, lies: Lies) {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://gateway')
  const [root = '', ...segments] = pathname.split('/').slice(2).map(decodeURIComponent)
  const isRaw = searchParams.get('format') === 'raw'
  const bytes = await (isRaw ? rawOf(CID.parse(root), blocks) : carOf(CID.parse(root), segments, blocks)).catch(
    () => undefined,
  )
  if (bytes === undefined) {
    response.writeHead(404, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { reason: 'NOT_FOUND', details: 'Nobody has it.' } }))
    return
  }
  const told = (isRaw ? lies.block : lies.car)?.(bytes) ?? bytes
  if (isRaw || lies.breakAfter === undefined) response.end(told)
  else response.write(told.subarray(0, lies.breakAfter), () => response.destroy())
}

async function rawOf(cid: CID, blocks: MemoryBlocks): Promise<Buffer> {
  return Buffer.from(await readBlock(cid, blocks))
}

async function carOf(root: CID, segments: string[], blocks: MemoryBlocks): Promise<Buffer> {
  const { cid, proof } = await resolve(root, segments, blocks)
  async function* inOrder() {
    yield* proof
    for await (const entry of walk(cid, blocks)) {
      yield { cid: entry.cid, bytes: (await blocks.get(entry.cid)) as Uint8Array }
    }
  }
  return Buffer.from(await joined(writeCar([root], inOrder())))
}
