import type { ServerResponse } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Serving } from './server.ts'

/** What is granted to a slow reader beyond its rate. */
const PATIENCE_MS = 5 * SECOND_MS

/**
 * Sends chunks as the body of a response whose head is written, at the pace of the reader and of the bandwidth for
 * bulk, and ends it.
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
    if (response.write(chunk)) continue
    const patienceMs = PATIENCE_MS + (response.writableLength / minBytesPerSecond) * 1_000
    await drained(response, patienceMs, signal)
  }
  response.end()
}

function drained(response: ServerResponse, patienceMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onDrain = (): void => resolve()
  const onAbort = (): void => reject(signal.reason)
  const timer = setTimeout(() => reject(new HoldfastError('TIMED_OUT', 'The reader is too slow.')), patienceMs)
  response.once('drain', onDrain)
  signal.addEventListener('abort', onAbort)
  return promise.finally(() => {
    clearTimeout(timer)
    response.off('drain', onDrain)
    signal.removeEventListener('abort', onAbort)
  })
}
