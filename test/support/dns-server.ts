import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'

/** What a test's DNS server says of a domain: its TXT records, or a code of RFC 1035, or nothing at all. */
export type DnsAnswer = string[] | 'SERVFAIL' | 'SILENCE'

const CODES = { SERVFAIL: 2, NXDOMAIN: 3 } as const
const MAX_UDP_BYTES = 512

/** A DNS server on loopback that knows TXT records only. Long answers are given by TCP, as real servers do. */
export async function startDnsServer(answers: ReadonlyMap<string, DnsAnswer>) {
  const udp = createSocket('udp4')
  udp.bind(0, '127.0.0.1')
  await once(udp, 'listening')
  const { port } = udp.address()
  const questions: string[] = []
  const asked = new EventTarget()
  const answer = (query: Buffer): Buffer | undefined => {
    const domain = domainIn(query)
    questions.push(domain)
    asked.dispatchEvent(new Event(domain))
    return reply(query, answers.get(domain))
  }
  udp.on('message', (query, from) => {
    const message = answer(query)
    if (message === undefined) return
    const truncated = Buffer.from(query.subarray(0, questionEnd(query)))
    truncated.writeUInt16BE(0x8380, 2)
    udp.send(message.length > MAX_UDP_BYTES ? truncated : message, from.port, from.address)
  })
  const sockets = new Set<Socket>()
  const tcp = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      const message = answer(bytes.subarray(2))
      if (message === undefined) return
      const length = Buffer.alloc(2)
      length.writeUInt16BE(message.length)
      socket.write(Buffer.concat([length, message]))
    })
  })
  tcp.listen(port, '127.0.0.1')
  await once(tcp, 'listening')
  return {
    address: `127.0.0.1:${port}`,
    /** The domains asked for, in order. */
    questions,
    asked,
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of sockets) socket.destroy()
      udp.close()
      tcp.close()
      await once(tcp, 'close')
    },
  }
}

function questionEnd(query: Buffer): number {
  let at = 12
  while ((query[at] ?? 0) > 0) at += (query[at] ?? 0) + 1
  return at + 5
}

function domainIn(query: Buffer): string {
  const labels: string[] = []
  for (let at = 12; (query[at] ?? 0) > 0; at += (query[at] ?? 0) + 1) {
    labels.push(query.toString('latin1', at + 1, at + 1 + (query[at] ?? 0)))
  }
  return labels.join('.').toLowerCase()
}

function reply(query: Buffer, answer: DnsAnswer = []): Buffer | undefined {
  if (answer === 'SILENCE') return undefined
  const texts = answer === 'SERVFAIL' ? [] : answer
  const header = Buffer.from(query.subarray(0, questionEnd(query)))
  const code = answer === 'SERVFAIL' ? CODES.SERVFAIL : texts.length === 0 ? CODES.NXDOMAIN : 0
  header.writeUInt16BE(0x8180 | code, 2)
  header.writeUInt16BE(texts.length, 6)
  header.writeUInt32BE(0, 8)
  return Buffer.concat([header, ...texts.map(txtRecord)])
}

function txtRecord(text: string): Buffer {
  const bytes = Buffer.from(text)
  const strings: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255)
    strings.push(Buffer.of(part.length), part)
  }
  const content = Buffer.concat(strings)
  const head = Buffer.from('c00c001000010000003c0000', 'hex')
  head.writeUInt16BE(content.length, 10)
  return Buffer.concat([head, content])
}
