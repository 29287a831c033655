import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'

/** A body that is sent as it is made. */
export interface Body {
  contentType: string
  /** Bytes of the whole body; it must have exactly as many. */
  length: number
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

export interface Answer {
  status: number
  text: string
}

/**
 * One request and its answer. The service may answer before it has the whole body, to refuse it: then the rest is not
 * read. Made on `node:http`, because `fetch` takes such an answer for a broken connection, and holds much of a large
 * body in memory.
 * @throws what the body's `chunks` throw, else the error of the connection
 */
export async function exchange(
  url: URL,
  {
    method,
    headers,
    body,
    signal,
  }: { method: string; headers: Record<string, string>; body?: Body; signal: AbortSignal },
): Promise<Answer> {
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method,
    headers: { ...headers, ...(body && { 'content-type': body.contentType, 'content-length': body.length }) },
    signal,
  })
  const answered = new AbortController()
  const answering = once(request, 'response').then(async ([response]) => {
    const { statusCode = 0 } = response as IncomingMessage
    const answer = { status: statusCode, text: await text(response as IncomingMessage) }
    answered.abort()
    return answer
  })
  const sending = pipeline(body?.chunks ?? [], request, { signal: answered.signal })
  const [answer, sent] = await Promise.allSettled([answering, sending])
  if (answer.status === 'fulfilled') return answer.value
  throw sent.status === 'rejected' ? sent.reason : answer.reason
}
