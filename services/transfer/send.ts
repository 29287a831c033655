import type { ServerResponse } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Serving } from './server.ts'

/** What is granted to a slow reader beyond its rate. */
const PATIENCE_MS = 5 * SECOND_MS

/**
 * Sends chunks as the body of a response whose head is written, at the pace of the reader and of the bandwidth for
 * bulk, and ends it. The next chunk is asked for when the one before is with the kernel and may be overwritten.
 * @throws TIMED_OUT when the reader is too slow; what the chunks throw; the signal's reason
 */
export async function send(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  { signal, bandwidth, minBytesPerSecond }: Serving,
): Promise<void> {
  for await (const chunk of chunks) {
    await bandwidth?.take(chunk.length, signal)
    signal.throwIfAborted()
    await written(response, chunk, { signal, patienceMs: PATIENCE_MS + (chunk.length / minBytesPerSecond) * SECOND_MS })
  }
  response.end()
}

function written(
  response: ServerResponse,
  chunk: Uint8Array,
  { signal, patienceMs }: { signal: AbortSignal; patienceMs: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = (): void => reject(signal.reason)
  const timer = setTimeout(() => reject(new HoldfastError('TIMED_OUT', 'The reader is too slow.')), patienceMs)
  signal.addEventListener('abort', onAbort)
  response.write(chunk, (error) => {
    if (error) reject(error)
    else resolve()
  })
  return promise.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  })
}
