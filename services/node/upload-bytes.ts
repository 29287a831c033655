import type { IncomingMessage } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { formatSize, MINUTE_MS } from '../core/units.ts'

/** A sender that is silent for this long has gone, whatever its connection says. */
const SILENCE_MS = MINUTE_MS

/**
 * The body of an upload, counted. The socket is read only as fast as the chunks are taken.
 * @throws PAYLOAD_TOO_LARGE here when the announced length is beyond `maxBytes`, and from the chunks when more comes;
 *   LENGTH_MISMATCH when the sender stops before the end; the signal's reason
 */
export function uploadBytes(request: IncomingMessage, limits: UploadLimits): AsyncGenerator<Uint8Array> {
  if (Number(request.headers['content-length'] ?? 0) > limits.maxBytes) throw tooLarge(limits.maxBytes)
  return countedBytes(request, limits)
}

interface UploadLimits {
  maxBytes: number
  signal: AbortSignal
}

async function* countedBytes(request: IncomingMessage, { maxBytes, signal }: UploadLimits): AsyncGenerator<Uint8Array> {
  request.setTimeout(SILENCE_MS, () => request.destroy())
  let received = 0
  try {
    // What was not read stays in the socket, so that the failure can still be answered.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      received += chunk.length
      if (received > maxBytes) throw tooLarge(maxBytes)
      yield chunk
    }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof HoldfastError) throw error
    throw cutOff(error)
  } finally {
    request.setTimeout(0)
  }
  if (!request.complete) throw cutOff()
}

function tooLarge(maxBytes: number): HoldfastError {
  return new HoldfastError('PAYLOAD_TOO_LARGE', `The upload may have at most ${formatSize(maxBytes)}.`)
}

function cutOff(cause?: unknown): HoldfastError {
  return new HoldfastError('LENGTH_MISMATCH', 'The upload ended before its end.', { cause })
}
