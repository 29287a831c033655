import { HoldfastError } from '../core/errors.ts'

/** The beginning of an HTTP/1.1 response from a transfer server. */
export interface ResponseHead {
  status: number
  /** Names in lower case. */
  headers: ReadonlyMap<string, string>
  /** Bytes of the body. Transfer servers always know it before they answer. */
  length: number
}

/** Where the head ends (behind its empty line); undefined when it is not all there. */
export function endOfHead(bytes: Uint8Array): number | undefined {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf('\r\n\r\n')
  return at < 0 ? undefined : at + 4
}

/** @throws UPSTREAM_FAILED when it is no HTTP/1.1 response with a Content-Length */
export function parseHead(bytes: Uint8Array): ResponseHead {
  const [first = '', ...lines] = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString('latin1')
    .split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1]
  const headers = new Map(lines.filter((line) => line !== '').map(fieldOf))
  const length = /^\d{1,15}$/.exec(headers.get('content-length') ?? '')?.[0]
  if (status === undefined || length === undefined) {
    throw new HoldfastError('UPSTREAM_FAILED', 'A node answered with something that is no transfer response.')
  }
  return { status: Number(status), headers, length: Number(length) }
}

function fieldOf(line: string): [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]
}
