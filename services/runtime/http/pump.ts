import type { ServerResponse } from 'node:http'

/**
 * Sends chunks as a response's body at the pace at which the client takes them, and ends it. When the source fails, the
 * connection is cut, so that the client cannot take a part for the whole.
 * @throws what the source throws, and an AbortError-like error when the client is gone
 */
export async function pump(source: AsyncIterable<Uint8Array | string>, response: ServerResponse): Promise<void> {
  try {
    for await (const chunk of source) {
      if (response.destroyed) throw clientGone()
      if (!response.write(chunk)) await drained(response)
    }
    response.end()
  } catch (error) {
    response.destroy()
    throw error
  }
}

/** Resolves when the response can take more. */
function drained(response: ServerResponse): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onDrain = (): void => resolve()
  const onClose = (): void => reject(clientGone())
  if (response.destroyed) return Promise.reject(clientGone())
  response.once('drain', onDrain).once('close', onClose)
  return promise.finally(() => response.off('drain', onDrain).off('close', onClose))
}

function clientGone(): Error {
  return new DOMException('The client closed the connection.', 'AbortError')
}
