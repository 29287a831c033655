import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Writable } from 'node:stream'
import { suite, test } from 'node:test'
import { pino } from 'pino'
import type { CID } from 'multiformats/cid'
import type { Abortable } from '../../services/core/block-source.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const MIB = 1_048_576
const LEAVES = 256

/** A file of 256 MiB, all of its leaves one block of 1 MiB. */
function addLargeFile(blocks: MemoryBlocks): CID {
  const leaf = blocks.addRaw(Buffer.alloc(MIB, 1))
  return blocks.addFileNode(repeated(LEAVES, leaf), repeated(LEAVES, MIB))
}

function repeated<T>(times: number, value: T): T[] {
  return Array.from({ length: times }, () => value)
}

/** Sends a request and reads nothing of the answer. */
async function requestUnread(gateway: Gateway, path: string): Promise<Socket> {
  const { hostname, port } = new URL(gateway.url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  socket.write(`GET ${path} HTTP/1.1\r\nHost: gateway\r\n\r\n`)
  return socket
}

/** Resolves when the count has been the same for several looks. */
function settled(count: () => number): Promise<number> {
  let last = -1
  let same = 0
  return until('no more reads', () => {
    same = count() === last && last > 0 ? same + 1 : 0
    last = count()
    return same >= 12 ? last : undefined
  })
}

/** A log whose lines can be looked at. */
function openLogBook(): { log: pino.Logger; lines: string[] } {
  const lines: string[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  return { log: pino({ level: 'info' }, sink), lines }
}

suite('a client that does not read', () => {
  test('holds back the reading of the store, and gets the rest when it goes on', async () => {
    const blocks = new MemoryBlocks()
    const path = `/ipfs/${addLargeFile(blocks).toString()}?filename=a.bin`
    await using gateway = await openGateway(blocks, { settings: { cacheBytes: 0 } })
    const socket = await requestUnread(gateway, path)
    const read = await settled(() => blocks.reads.length)
    // What the sockets of this machine buffer, one piece being written, and four blocks read ahead.
    assert.ok(read < LEAVES / 4, `${read} of ${LEAVES} blocks were read`)
    let received = 0
    socket.on('data', (piece: Buffer) => (received += piece.length))
    socket.resume()
    await until('the whole file', () => received > LEAVES * MIB)
    socket.destroy()
  })

  test('is cut off when it takes less than the least rate', async () => {
    const blocks = new MemoryBlocks()
    const path = `/ipfs/${addLargeFile(blocks).toString()}?filename=a.bin`
    const { log, lines } = openLogBook()
    const settings = { writeBytes: 65_536, minBytesPerSecond: 655_360 }
    await using gateway = await openGateway(blocks, { settings, log })
    const socket = await requestUnread(gateway, path)
    await until('the cut', () => lines.some((line) => line.includes('reads too slowly')))
    socket.resume()
    await until('the end of the connection', () => socket.closed)
  })
})

suite('a client that leaves', () => {
  test('ends the reads that are under way for it', async () => {
    const blocks = new MemoryBlocks()
    const path = `/ipfs/${addLargeFile(blocks).toString()}?filename=a.bin`
    const abandoned: unknown[] = []
    let hanging = 0
    const store = {
      sizeOf: () => undefined,
      get: (cid: CID, options?: Abortable): Promise<Uint8Array | undefined> => {
        if (blocks.reads.length < 3) return blocks.get(cid, options)
        hanging += 1
        return new Promise((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => {
            abandoned.push(options.signal?.reason)
            reject(options.signal?.reason as Error)
          })
        })
      },
    }
    await using gateway = await openGateway(store, { settings: { cacheBytes: 0 } })
    const socket = await requestUnread(gateway, path)
    await until('a read that hangs', () => hanging > 0)
    socket.destroy()
    await until('the end of all reads', () => abandoned.length === hanging)
  })
})

suite('content that does not come', () => {
  test('is 504 after the time for a first byte', async () => {
    const cid = new MemoryBlocks().addRaw(Buffer.from('late'))
    const store = { get: (): Promise<undefined> => new Promise(() => {}), sizeOf: () => undefined }
    const neverRejecting = {
      sizeOf: () => undefined,
      get: (_cid: CID, options?: Abortable): Promise<undefined> =>
        new Promise((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => reject(options.signal?.reason as Error))
        }),
    }
    for (const source of [store, neverRejecting]) {
      await using gateway = await openGateway(source, { settings: { firstByteTimeoutMs: 50 } })
      const { status, body } = await ask(gateway.url, `/ipfs/${cid.toString()}`)
      assert.equal(status, 504)
      assert.match(body.toString(), /TIMED_OUT/)
    }
  })

  test('in the middle breaks the answer off after the time for a whole one', async () => {
    const blocks = new MemoryBlocks()
    const [first, second] = [blocks.addRaw(Buffer.alloc(1_000, 1)), blocks.addRaw(Buffer.alloc(1_000, 2))]
    const file = blocks.addFileNode([first, second], [1_000, 1_000])
    const store = {
      sizeOf: () => undefined,
      get: (cid: CID, options?: Abortable): Promise<Uint8Array | undefined> =>
        cid.equals(second) ? new Promise(() => {}) : blocks.get(cid, options),
    }
    await using gateway = await openGateway(store, { settings: { answerTimeoutMs: 200 } })
    const { complete } = await ask(gateway.url, `/ipfs/${file.toString()}?filename=a.bin`)
    assert.equal(complete, false)
  })
})

test('connections of one address beyond its share are closed, the others served', async () => {
  const blocks = new MemoryBlocks()
  const cid = blocks.addRaw(Buffer.from('served'))
  await using gateway = await openGateway(blocks, { settings: { maxConnectionsPerAddress: 2 } })
  const { hostname, port } = new URL(gateway.url)
  const idle = connect({ host: hostname, port: Number(port) })
  await once(idle, 'connect')
  assert.equal((await ask(gateway.url, `/ipfs/${cid.toString()}`)).status, 200)
  const second = connect({ host: hostname, port: Number(port) })
  await once(second, 'connect')
  const third = connect({ host: hostname, port: Number(port) })
  third.on('error', () => {})
  await until('the end of the third', () => third.closed)
  idle.destroy()
  second.destroy()
})

test('closing lets an answer under way come to its end', async () => {
  const blocks = new MemoryBlocks()
  const cid = blocks.addRaw(Buffer.from('finished'))
  const { promise: allowed, resolve: allow } = Promise.withResolvers<void>()
  const { promise: asked, resolve: noteAsked } = Promise.withResolvers<void>()
  const store = {
    sizeOf: () => undefined,
    get: async (cid: CID): Promise<Uint8Array | undefined> => {
      noteAsked()
      await allowed
      return blocks.get(cid)
    },
  }
  const gateway = await openGateway(store)
  const answer = ask(gateway.url, `/ipfs/${cid.toString()}`)
  await asked
  const closed = gateway.close()
  allow()
  assert.equal((await answer).body.toString(), 'finished')
  await closed
})
