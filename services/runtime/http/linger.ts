import type { IncomingMessage, ServerResponse } from 'node:http'
import { MIB, SECOND_MS } from '../../core/units.ts'

/** Whoever is told "no" in the middle of a body is listened to for this long. */
const LINGER_MS = 2 * SECOND_MS
const LINGER_BYTES = 16 * MIB

/**
 * Ends a response, whose headers are set, while its request's body is still on the way. The rest of the body is taken and
 * thrown away for a while: to close at once would reset the connection, and the sender would never see the answer.
 */
export async function endLingering(response: ServerResponse, body: Uint8Array): Promise<void> {
  response.write(body)
  if (!response.req.complete) await discard(response.req)
  response.end()
}

function discard(request: IncomingMessage): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = LINGER_BYTES
  const timer = setTimeout(resolve, LINGER_MS)
  const onData = (chunk: Buffer): void => {
    left -= chunk.length
    if (left < 0) resolve()
  }
  const onEnd = (): void => resolve()
  request.on('data', onData).once('close', onEnd).once('end', onEnd).once('error', onEnd)
  return promise.finally(() => {
    clearTimeout(timer)
    request.off('data', onData).off('close', onEnd).off('end', onEnd)
    request.pause()
  })
}
