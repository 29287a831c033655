import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { readUrlSignature, type UrlSignature } from '../core/signed-url.ts'
import { withoutPort } from './hosts.ts'
import type { Location } from './locate.ts'
import type { TrustedProxies } from './trusted-proxies.ts'

/** Who asks, and what they show for it. */
export interface Visitor {
  /** Plain: IPv4 in its own form. Undefined when the connection is gone. */
  address: string | undefined
  /** As the request names it, in lower case, with its port. */
  host: string
  /** Of the page that the request comes from: `Origin`, else that of `Referer`. */
  origin: string | undefined
  /** SHA-256 of the bearer token, in hex; the text itself goes no further. */
  tokenHash: string | undefined
  urlSignature: UrlSignature | undefined
}

export function visitorOf(request: IncomingMessage, { site, rawQuery }: Location, proxies: TrustedProxies): Visitor {
  const { headers } = request
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
  return {
    address: clientAddress(request, proxies),
    host: site.host.toLowerCase(),
    origin: originOf(headers.origin ?? headers.referer),
    tokenHash: bearer === undefined ? undefined : hash('sha256', bearer, 'hex'),
    urlSignature: rawQuery.includes('hf-sig=') ? readUrlSignature(new URLSearchParams(rawQuery)) : undefined,
  }
}

/**
 * The client's address: that of the connection, or behind our own proxies the last one in `X-Forwarded-For` that is none
 * of them. What stands before it anybody can have written.
 */
export function clientAddress({ socket, headers }: IncomingMessage, proxies: TrustedProxies): string | undefined {
  const direct = plainAddress(socket.remoteAddress)
  if (direct === undefined || !proxies.trusts(direct)) return direct
  const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',')
  const addresses = forwarded.map((text) => plainAddress(withoutBrackets(text.trim())))
  const last = addresses.findLast((address) => address === undefined || !proxies.trusts(address))
  return last ?? direct
}

function withoutBrackets(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1]
  return bracketed ?? (text.includes('.') ? withoutPort(text) : text)
}

function plainAddress(address: string | undefined): string | undefined {
  const plain = address?.replace(/^::ffff:(?=\d+\.)/i, '')
  return plain === undefined || isIP(plain) === 0 ? undefined : plain
}

function originOf(header: string | undefined): string | undefined {
  if (header === undefined || !URL.canParse(header)) return undefined
  return new URL(header).origin
}
