import { createReadStream } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { pino } from 'pino'
import type { CID } from 'multiformats/cid'
import { readCar } from '../../services/dag/read-car.ts'
import { startGateway, type Gateway, type GatewayOptions } from '../../services/gateway/server.ts'
import { MemoryBlocks } from './dag.ts'

const FIXTURES = new URL('../fixtures/gateway/', import.meta.url)

/** A gateway on a free port of this machine, over the blocks given. */
export function openGateway(store: GatewayOptions['store'], options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  return startGateway({ host: '127.0.0.1', port: 0, log: pino({ level: 'silent' }), ...options, store })
}

/** Blocks of CARs of the IPFS gateway conformance suite; `roots` are those of the last one. */
export async function fixtureBlocks(...names: string[]): Promise<{ blocks: MemoryBlocks; roots: CID[] }> {
  const blocks = new MemoryBlocks()
  let roots: CID[] = []
  for (const name of names) {
    const car = await readCar(createReadStream(new URL(name, FIXTURES)))
    roots = car.roots
    for await (const { cid, bytes } of car.blocks) await blocks.put(cid, bytes)
  }
  return { blocks, roots }
}

export interface Answered {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  /** Whether the body came to its proper end. */
  complete: boolean
}

/**
 * One HTTP exchange, the path sent as it is written. What came is answered also when the connection broke; with status 0
 * when it broke before the headers came.
 */
export function ask(
  base: string,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answered> {
  const { hostname, port } = new URL(base)
  return new Promise((resolve) => {
    const request = httpRequest({ hostname, port, path, agent: false, ...options }, (response) => {
      const pieces: Buffer[] = []
      const finish = (): void =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(pieces),
          complete: response.complete,
        })
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.once('error', () => {})
      response.once('close', finish)
    })
    request.once('error', () => resolve({ status: 0, headers: {}, body: Buffer.alloc(0), complete: false }))
    request.end()
  })
}

/** CIDs of the blocks of a CAR, in its order. */
export async function carCids(car: Uint8Array): Promise<string[]> {
  const { blocks } = await readCar(once(car))
  return Array.fromAsync(blocks, ({ cid }) => cid.toString())
}

/** The blocks of a CAR by themselves. */
export async function carBlocks(car: Uint8Array): Promise<MemoryBlocks> {
  const blocks = new MemoryBlocks()
  for await (const { cid, bytes } of (await readCar(once(car))).blocks) await blocks.put(cid, bytes)
  return blocks
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
