import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { KIB, SECOND_MS } from '../../services/core/units.ts'

/**
 * Readers of a large file who are slow, each in its own time: `URL PATH COUNT`. A process of its own, so that its work is not
 * taken for the gateway's. Tells its parent once all have asked, and on each message how many were cut off.
 */
/** Above what the gateway asks of a client at least. */
const BYTES_PER_SECOND = 32 * KIB
const TURNS_PER_SECOND = 50

const [url = '', path = '', count = '0'] = process.argv.slice(2)
const { hostname, port } = new URL(url)
let cutOff = 0
const sockets = await Promise.all(Array.from({ length: Number(count) }, ask))
process.on('message', () => void process.send?.(cutOff))
process.on('disconnect', () => process.exit())
process.send?.('asked')
for (let turn = 0; ; turn = (turn + 1) % TURNS_PER_SECOND) {
  for (let reader = turn; reader < sockets.length; reader += TURNS_PER_SECOND) {
    const socket = sockets[reader]
    if (socket !== undefined) readSome(socket)
  }
  await delay(SECOND_MS / TURNS_PER_SECOND)
}

async function ask(): Promise<Socket> {
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.once('close', () => (cutOff += 1)).on('error', () => {})
  socket.pause().write(`GET ${path} HTTP/1.1\r\nhost: gateway\r\n\r\n`)
  return socket
}

function readSome(socket: Socket): void {
  for (let left = BYTES_PER_SECOND; left > 0;) {
    const piece = (socket.read(Math.min(left, socket.readableLength)) ?? socket.read()) as Buffer | null
    if (piece === null) return
    left -= piece.length
  }
}
