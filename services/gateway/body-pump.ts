import type { ServerResponse } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { GatewaySettings } from './settings.ts'

type PumpLimits = Pick<GatewaySettings, 'minBytesPerSecond' | 'writeBytes' | 'maxAnswerBytes'>

/**
 * Sends pieces at the pace at which the client takes them; at most `writeBytes` of one answer wait in the process for a
 * socket. Resolves when the last byte is with the socket. The caller ends the response, or destroys it when this throws.
 * @throws what the pieces throw; TIMED_OUT for a client slower than the least rate; PAYLOAD_TOO_LARGE beyond
 *   `maxAnswerBytes`; AbortError when the client is gone
 */
export async function pumpBody(
  pieces: AsyncIterable<Uint8Array>,
  response: ServerResponse,
  limits: PumpLimits,
): Promise<void> {
  let sent = 0
  for await (const piece of pieces) {
    sent += piece.length
    if (sent > limits.maxAnswerBytes) {
      throw new HoldfastError('PAYLOAD_TOO_LARGE', `An answer may have at most ${limits.maxAnswerBytes} bytes.`)
    }
    for (let start = 0; start < piece.length; start += limits.writeBytes) {
      await write(piece.subarray(start, start + limits.writeBytes), response, limits)
    }
  }
}

async function write(part: Uint8Array, response: ServerResponse, limits: PumpLimits): Promise<void> {
  if (response.destroyed) throw clientGone()
  joinWrites(response)
  if (response.write(part)) return
  await drained(response, (limits.writeBytes / limits.minBytesPerSecond) * SECOND_MS)
}

/** Pieces that are there at once go to the socket in one call; a DAG of tiny blocks would cost one for each. */
function joinWrites(response: ServerResponse): void {
  if (response.writableCorked > 0) return
  response.cork()
  setImmediate(() => response.uncork())
}

function drained(response: ServerResponse, deadlineMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(new HoldfastError('TIMED_OUT', 'The client reads too slowly.')), deadlineMs)
    const onDrain = (): void => settle()
    const onClose = (): void => settle(clientGone())
    const settle = (error?: Error): void => {
      clearTimeout(timer)
      response.off('drain', onDrain).off('close', onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    response.once('drain', onDrain).once('close', onClose)
  })
}

export function clientGone(): Error {
  return new DOMException('The client closed the connection.', 'AbortError')
}
