import { lookup as lookUpDns } from 'node:dns'
import * as http from 'node:http'
import * as https from 'node:https'
import { isLoopbackHost, loopbackOnly, publicOnly, type AddressLookup } from '../core/public-address.ts'
import { webhookUrlProblem } from '../core/webhook-url.ts'
import { SECOND_MS } from '../core/units.ts'

/** From the first packet to the head of the answer. */
const ANSWER_MS = 10 * SECOND_MS

export interface SendOptions {
  /** Lets URLs of this machine pass. Whoever makes a webhook chooses its URL. @default false */
  allowsLoopback?: boolean
  /** Finds the addresses of a host. @default that of the system */
  lookUp?: AddressLookup
  /** How long the answer may take. */
  answerMs?: number
}

/**
 * Posts a JSON document, and answers the status that comes. The body of the answer is not read, and redirects are not
 * followed.
 * @throws Error with a sentence for the owner of the URL; the signal's reason
 */
export async function send(
  text: string,
  { body, headers, signal }: { body: string; headers: Readonly<Record<string, string>>; signal: AbortSignal },
  { allowsLoopback = false, lookUp = lookUpDns, answerMs = ANSWER_MS }: SendOptions,
): Promise<number> {
  const problem = webhookUrlProblem(text, { allowsLoopback })
  if (problem !== undefined) throw new Error(problem)
  const url = new URL(text)
  const guard = allowsLoopback && isLoopbackHost(url.hostname) ? loopbackOnly : publicOnly
  const timeout = AbortSignal.timeout(answerMs)
  const request = (url.protocol === 'https:' ? https : http).request(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'Holdfast-Webhooks/1',
      ...headers,
    },
    // A connection of its own: one that is kept was perhaps made for another address.
    agent: false,
    signal: AbortSignal.any([signal, timeout]),
    lookup: guard(lookUp),
  })
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>()
  request.once('response', resolve).on('error', reject)
  request.end(body)
  try {
    return (await promise).statusCode ?? 0
  } catch (cause) {
    signal.throwIfAborted()
    if (timeout.aborted) throw new Error(`There was no answer within ${answerMs / SECOND_MS} s.`, { cause })
    throw new Error(`The request failed: ${reasonOf(cause as NodeJS.ErrnoException)}`, { cause })
  } finally {
    request.destroy()
  }
}

/** Of a host with several addresses each was tried. */
function reasonOf(error: NodeJS.ErrnoException): string {
  const [first] = error instanceof AggregateError ? (error.errors as NodeJS.ErrnoException[]) : [error]
  return (first?.message ?? '') === '' ? (error.code ?? 'no reason') : (first?.message ?? '')
}
