import { lookup as lookUpDns } from 'node:dns'
import * as http from 'node:http'
import * as https from 'node:https'
import type { LookupFunction } from 'node:net'
import { bytesUpTo } from '../../core/bounded-bytes.ts'
import { HoldfastError } from '../../core/errors.ts'
import { publicOnly } from '../../core/public-address.ts'
import { isPublicHost } from '../../core/token-uri/public-host.ts'
import { MIB, SECOND_MS } from '../../core/units.ts'
import { bytesOfHex, type Hex } from '../hex.ts'

const ANSWER_MS = 5 * SECOND_MS
const MAX_ANSWER_BYTES = MIB
/** A contract names as many as it likes. */
const MAX_URLS = 4

/** What a contract wants to have asked outside of the chain. */
export interface OffchainQuestion {
  /** The contract. */
  sender: Hex
  urls: readonly string[]
  data: Hex
}

export interface OffchainOptions {
  /** Lets http and addresses of private networks pass. Whoever deploys a contract chooses the URLs. @default false */
  allowsPrivate?: boolean
  /** Finds the addresses of a host. @default that of the system */
  lookUp?: LookupFunction
}

/**
 * Asks the gateways that a contract names (ERC-3668), one after the other, for what it needs. Redirects are not followed.
 * @throws UPSTREAM_FAILED when none of them answers; the signal's reason
 */
export async function askOffchain(
  { sender, urls, data }: OffchainQuestion,
  { allowsPrivate = false, lookUp = lookUpDns }: OffchainOptions,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  let cause: unknown
  for (const template of urls.slice(0, MAX_URLS)) {
    signal?.throwIfAborted()
    try {
      const url = urlOf(template.replaceAll('{sender}', sender).replaceAll('{data}', data), allowsPrivate)
      // "If the URL does not contain {data}, it is a POST."
      const body = template.includes('{data}') ? undefined : JSON.stringify({ sender, data })
      return await ask(url, { body, lookUp: allowsPrivate ? lookUp : publicOnly(lookUp), signal })
    } catch (error) {
      cause = error
      if (error instanceof Refused) break
    }
  }
  signal?.throwIfAborted()
  throw new HoldfastError('UPSTREAM_FAILED', 'No server that the contract names gave what it asks for.', { cause })
}

/** "4xx: the client MUST stop." */
class Refused extends Error {}

function urlOf(text: string, allowsPrivate: boolean): URL {
  const url = new URL(text)
  const isAllowed = url.protocol === 'https:' || (allowsPrivate && url.protocol === 'http:')
  if (!isAllowed || url.username !== '' || url.password !== '') throw new Error('Only plain https is asked.')
  if (!allowsPrivate && !isPublicHost(url.hostname)) throw new Error('The host is none of the public internet.')
  return url
}

async function ask(
  url: URL,
  { body, lookUp, signal }: { body: string | undefined; lookUp: LookupFunction; signal: AbortSignal | undefined },
): Promise<Uint8Array> {
  const timeout = AbortSignal.timeout(ANSWER_MS)
  const options: https.RequestOptions = {
    method: body === undefined ? 'GET' : 'POST',
    headers: { accept: 'application/json', ...(body !== undefined && { 'content-type': 'application/json' }) },
    // A connection of its own: one that is kept was perhaps made for another rule.
    agent: false,
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    lookup: lookUp,
  }
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>()
  const request = (url.protocol === 'https:' ? https : http).request(url, options, resolve)
  request.on('error', reject)
  request.end(body)
  try {
    const response = await promise
    const status = response.statusCode ?? 0
    if (status >= 400 && status < 500) throw new Refused(`The server answered ${status}.`)
    if (status !== 200) throw new Error(`The server answered ${status}.`)
    const tooLong = (): Error => new Error('The answer is too long.')
    return dataOf((await bytesUpTo(response, MAX_ANSWER_BYTES, tooLong)).toString('utf8'))
  } finally {
    request.destroy()
  }
}

function dataOf(text: string): Uint8Array {
  const answer: unknown = JSON.parse(text)
  const isObject = typeof answer === 'object' && answer !== null
  const bytes = isObject && 'data' in answer ? bytesOfHex(answer.data) : undefined
  if (bytes === undefined) throw new Error('The answer holds no data.')
  return bytes
}
