import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

const REFUSED =
  'HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n'

/**
 * Answers CONNECT, by which clients ask a proxy for a tunnel to a host: whatever the host, the tunnel ends in this very
 * server, which answers for it. Nothing is ever dialled. A tunnel inside a tunnel is refused.
 */
export function answerTunnels(server: Server, isProxy: boolean): void {
  const tunnels = new WeakSet<Duplex>()
  server.on('connect', (_request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!isProxy || tunnels.has(socket)) {
      socket.end(REFUSED)
      return
    }
    tunnels.add(socket)
    socket.write(ESTABLISHED)
    if (head.length > 0) socket.unshift(head)
    server.emit('connection', socket)
  })
}
