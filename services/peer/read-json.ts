import type { IncomingMessage } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { MAX_JSON_BYTES } from '../swarm/wire.ts'

/** The JSON body of a request. @throws PAYLOAD_TOO_LARGE, BAD_REQUEST */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_JSON_BYTES) throw new HoldfastError('PAYLOAD_TOO_LARGE', `At most ${MAX_JSON_BYTES} bytes.`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks, length).toString('utf8'))
  } catch (cause) {
    throw new HoldfastError('BAD_REQUEST', 'The body is not JSON.', { cause })
  }
}
