import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { failureBody } from './errors.ts'

/** Answers what Node's parser gave up on, in the shape of all failures, and ends the connection. */
export function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, details } = judge(error.code)
  const body = JSON.stringify(failureBody({ reason: 'BAD_REQUEST', details }))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function judge(code: string | undefined): { status: number; details: string } {
  if (code === 'HPE_HEADER_OVERFLOW') return { status: 431, details: 'The headers are larger than 16 KiB.' }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { status: 408, details: 'The request did not arrive in time.' }
  return { status: 400, details: 'This is not a well-formed HTTP request.' }
}
