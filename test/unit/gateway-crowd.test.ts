import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { DEFAULT_SETTINGS } from '../../services/gateway/settings.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const CROWD = 500
const LEAF_BYTES = 1_000_000
const LEAVES = 1_000

/** A file of a gigabyte, all of its leaves one block. */
function addGigabyte(blocks: MemoryBlocks): string {
  const leaf = blocks.addRaw(Buffer.alloc(LEAF_BYTES, 1))
  const repeated = <T>(value: T): T[] => Array.from({ length: LEAVES }, () => value)
  return blocks.addFileNode(repeated(leaf), repeated(LEAF_BYTES)).toString()
}

/** Sends some text and then neither reads nor writes any more. */
async function sendAndStop(gateway: Gateway, text: string): Promise<Socket> {
  const { hostname, port } = new URL(gateway.url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

test('500 clients that read nothing and 500 that never end their headers cost bounded buffers, and hold up nobody', async () => {
  const blocks = new MemoryBlocks()
  const path = `/ipfs/${addGigabyte(blocks)}`
  const small = `/ipfs/${blocks.addRaw(Buffer.from('small')).toString()}`
  const responses = new Set<ServerResponse>()
  const onRequest = (message: unknown): void => {
    responses.add((message as { response: ServerResponse }).response)
  }
  subscribe('http.server.request.start', onRequest)
  const sockets: Socket[] = []
  const gateway = await openGateway(blocks, {
    settings: { maxConnectionsPerAddress: 4 * CROWD, headersTimeoutMs: 1_000 },
  })
  try {
    for (let index = 0; index < CROWD; index++) {
      const reader = await sendAndStop(gateway, `GET ${path} HTTP/1.1\r\nHost: gateway\r\n\r\n`)
      reader.pause()
      sockets.push(reader)
    }
    const starters: Socket[] = []
    for (let index = 0; index < CROWD; index++) {
      const starter = await sendAndStop(gateway, 'GET / HTTP/1.1\r\nHost:')
      starter.resume()
      starters.push(starter)
      sockets.push(starter)
    }
    await until('every reader is stuck', () => {
      const stuck = [...responses].filter((response) => response.writableNeedDrain)
      return stuck.length >= CROWD
    })
    const held = [...responses].reduce((sum, response) => sum + response.writableLength, 0)
    assert.ok(held <= CROWD * 2 * DEFAULT_SETTINGS.writeBytes, `${held} bytes wait in the process`)
    for (let index = 0; index < 20; index++) {
      const answer = await ask(gateway.url, small)
      assert.deepEqual([answer.status, answer.body.toString()], [200, 'small'])
    }
    await until('every connection without headers is closed', () => starters.every((socket) => socket.closed), 30_000)
    assert.equal((await ask(gateway.url, small)).status, 200)
  } finally {
    unsubscribe('http.server.request.start', onRequest)
    for (const socket of sockets) socket.destroy()
    await gateway.close()
  }
})
